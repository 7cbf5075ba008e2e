"""One module a group of commands; `parser.py` names its functions, and one is loaded when it is called."""
