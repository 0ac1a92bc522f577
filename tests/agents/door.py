"""The world of the test: a locked door, and what it takes to open it. Nothing here knows Forethought."""

import json

done = []


def look(place: str) -> str:
    """Look at a place.

    Args:
        place: Where to look.
    """
    done.append(["look", {"place": place}])
    return f"At the {place} there are 2 keys and a door."


def take(item: str, count: int) -> str:
    """Take some items.

    Args:
        item: What to take.
        count: How many of them.
    """
    done.append(["take", {"item": item, "count": count}])
    return f"You have {count} of: {item}."


def open_door(key: str) -> str:
    """Open the door.

    Args:
        key: With which key.
    """
    done.append(["open_door", {"key": key}])
    return "The door is open; behind it is a room, \"Größe 大\"."


TASK = "Open the door in the hall, then say what is behind it."


def report(answer):
    print(json.dumps({"calls": done, "answer": answer}))
