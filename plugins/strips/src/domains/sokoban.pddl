; A player pushes boxes through a maze, each to a cell of its own. A cell is free if no box is on it.
(define (domain sokoban)
  (:requirements :strips :typing)
  (:types cell direction box)
  (:predicates (next ?from - cell ?to - cell ?d - direction) (player ?c - cell) (box-at ?b - box ?c - cell)
    (free ?c - cell))
  (:action move
    :parameters (?from - cell ?to - cell ?d - direction)
    :precondition (and (player ?from) (next ?from ?to ?d) (free ?to))
    :effect (and (not (player ?from)) (player ?to)))
  (:action push
    :parameters (?b - box ?player - cell ?from - cell ?to - cell ?d - direction)
    :precondition (and (player ?player) (next ?player ?from ?d) (box-at ?b ?from) (next ?from ?to ?d) (free ?to))
    :effect (and (not (player ?player)) (player ?from) (not (box-at ?b ?from)) (box-at ?b ?to) (not (free ?to))
      (free ?from))))
