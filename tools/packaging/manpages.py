#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes manual pages from what a program says of its command line.

    manpages.py PROGRAM DIRECTORY VERSION

One page for the program and one for each of its verbs, from `PROGRAM --experimental-dump-help`.
"""
import json
import os
import subprocess
import sys


def escaped(text):
    """Text for roff: no line may begin with a control character."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").split("\n")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def option(argument):
    names = ["-" + n["name"] if n["kind"] == "short" else "--" + n["name"] for n in argument.get("names", [])]
    text = ", ".join("\\fB" + escaped(name) + "\\fR" for name in names)
    if argument["kind"] == "option":
        text += " \\fI" + escaped(argument["valueName"].upper()) + "\\fR"
    return text


def synopsis(argument):
    name = "\\fI" + escaped(argument["valueName"].upper()) + "\\fR"
    if argument.get("isRepeating"):
        name += " ..."
    return "[" + name + "]" if argument["isOptional"] else name


def paragraphs(text):
    return "\n.PP\n".join(escaped(part.strip()) for part in text.split("\n\n"))


def page(names, command, version, verbs):
    arguments = [a for a in command.get("arguments", []) if a.get("shouldDisplay", True)]
    options = [a for a in arguments if a["kind"] != "positional"]
    positionals = [a for a in arguments if a["kind"] == "positional"]
    title = "-".join(names)
    out = [f'.TH "{title.upper()}" 1 "" "slacker {version}" "Slacker"', ".SH NAME",
           f"{escaped(title)} \\- {escaped(command.get('abstract', '').rstrip('.'))}", ".SH SYNOPSIS",
           f"\\fB{escaped(' '.join(names))}\\fR " + ("\\fIVERB\\fR ..." if verbs else "[\\fIOPTIONS\\fR] ")
           + " ".join(synopsis(a) for a in positionals)]
    if command.get("discussion"):
        text, _, example = command["discussion"].partition("Example: ")
        if text.strip():
            out += [".SH DESCRIPTION", paragraphs(text)]
        if example.strip():
            out += [".SH EXAMPLE", ".nf", escaped(example.strip()), ".fi"]
    if positionals:
        out.append(".SH ARGUMENTS")
        for a in positionals:
            out += [".TP", "\\fI" + escaped(a["valueName"].upper()) + "\\fR", escaped(a.get("abstract", ""))]
    if options:
        out.append(".SH OPTIONS")
        for a in options:
            text = a.get("abstract", "")
            if a.get("defaultValue") and "default" not in text:
                text += f" (default: {a['defaultValue']})"
            if a.get("allValues"):
                text += " One of " + ", ".join(a["allValues"]) + "."
            out += [".TP", option(a), escaped(text)]
    if verbs:
        out.append(".SH VERBS")
        for verb in verbs:
            name = verb["commandName"]
            out += [".TP", f"\\fB{escaped(title)}\\-{escaped(name)}\\fR(1)", escaped(verb.get("abstract", ""))]
        out += [".SH EXIT STATUS", "0 for success, 1 for a failure, 2 for wrong usage; \\fBslacker run\\fR passes on the "
                "status of the container, and ends with 127 or 126 when its command is not in the image or cannot be "
                "run.", ".SH FILES", ".TP", "/etc/slacker/config.toml", "settings", ".TP", "/var/lib/slacker",
                "images and volumes", ".TP", "/run/slacker", "sockets, mounts and the log of a daemon that a command "
                "has started"]
    else:
        out += [".SH SEE ALSO", f"\\fB{escaped(names[0])}\\fR(1)"]
    return "\n".join(out) + "\n"


def main():
    program, directory, version = sys.argv[1:]
    dump = subprocess.run([program, "--experimental-dump-help"], check=True, stdout=subprocess.PIPE).stdout
    root = json.loads(dump)["command"]
    verbs = [c for c in root["subcommands"] if c.get("shouldDisplay", True) and c["commandName"] not in ("help", "internal")]
    os.makedirs(directory, exist_ok=True)
    pages = [([root["commandName"]], root, verbs)]
    pages += [([root["commandName"], verb["commandName"]], verb, []) for verb in verbs]
    for names, command, below in pages:
        with open(os.path.join(directory, "-".join(names) + ".1"), "w", encoding="utf-8") as out:
            out.write(page(names, command, version, below))


if __name__ == "__main__":
    main()
