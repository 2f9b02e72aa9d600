// SPDX-License-Identifier: Apache-2.0

/// Writes docs/configuration.md out of the table of settings.
public enum ConfigurationReference {
    public static var markdown: String {
        var text = """
            # Configuration

            This page is made of the table of settings in the program: `slacker config --reference` prints it.

            A setting is given in one file, by an environment variable, or by a flag of `slacker daemon`. A
            flag wins over the environment, the environment over the file, and the file over the default. The
            file is `\(Configuration.defaultFile)` if it is there, or the one that `--config FILE` or
            `\(Configuration.fileVariable)` names:

                [section]
                name = value

            The variable of `section.name` is `SLACKER_SECTION_NAME`, the flag `--section-name VALUE`, or
            `--set section.name=VALUE`. There, a list has commas between its members. Numbers of bytes are
            written `4096`, `64M`, `2G`, in powers of 1024. A relative path starts from the file that holds
            it, or from the working directory. A mistake ends the program with the file, the line and the key,
            before anything is done.

            A command that finds no daemon starts one, with the file and the directories that it was given
            itself and with its environment. A daemon that runs keeps the settings that it was started with:
            restart it to change them. `slacker config` prints all settings with their origins, those of the
            daemon if one runs.

            """
        for section in Settings.sections {
            text += "\n## \(section)\n\n| setting | value | default | |\n| --- | --- | --- | --- |\n"
            for key in Settings.all where key.section == section {
                let fallback = key.fallback.description.isEmpty ? "" : "`\(key.fallback)`"
                let short = key.shortVariable.map { " Variable also `\($0)`." } ?? ""
                text += "| `\(key.name)` | \(wanted(key.kind)) | \(fallback) | \(key.summary)\(short) |\n"
            }
        }
        return text
    }

    /// A configuration file in which every setting is a comment, with its default.
    public static var template: String {
        var text = """
            # Slacker's settings, each with what it is when nothing is said here. docs/configuration.md has the rules;
            # `slacker config` prints what is in force.

            """
        for section in Settings.sections {
            text += "\n[\(section)]\n"
            for key in Settings.all where key.section == section {
                text += "# \(key.summary)\n# \(key.name) = \(literal(key))\n"
            }
        }
        return text
    }

    private static func literal(_ key: SettingKey) -> String {
        func quoted(_ text: String) -> String { "\"\(text)\"" }
        switch key.fallback {
        case .list(let list): return "[" + list.map(quoted).joined(separator: ", ") + "]"
        case .text(let text): return quoted(text)
        case .bytes: return quoted(key.fallback.description)
        default: return "\(key.fallback)"
        }
    }

    /// The options of `slacker daemon`, for its help.
    public static var flags: String {
        Settings.all.map { key in
            "  \(key.flag) VALUE\n          \(key.summary) (\(key.kind.wanted); default: \(shown(key)))"
        }.joined(separator: "\n")
    }

    private static func shown(_ key: SettingKey) -> String {
        key.fallback.description.isEmpty ? "none" : key.fallback.description
    }

    private static func wanted(_ kind: SettingKind) -> String {
        if case .choice(let choices) = kind { return choices.map { "`\($0)`" }.joined(separator: ", ") }
        return kind.wanted
    }
}
