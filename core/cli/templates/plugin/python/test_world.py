from forethought_kit.check import problems


def test_it_conforms() -> None:
    assert problems("{{module}}.py") == []
