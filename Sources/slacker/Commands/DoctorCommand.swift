// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Look whether everything is set up, and say what to do.",
        discussion: """
            Looks at the machine, the daemon, and containerd where it is; with an image, also whether that would be \
            read lazily. The exit status is 1 when something does not work.

            Example: slacker doctor registry.example/team/python:3.12
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "Socket of containerd.")
    var containerdAddress = "/run/containerd/containerd.sock"

    @Option(help: "Configuration file of containerd.")
    var containerdConfig = "/etc/containerd/config.toml"

    @Flag(help: "Print JSON.")
    var json = false

    @Argument(help: "An image of a registry.")
    var image: String?

    func run() throws {
        let doctor = Doctor(
            try global.configuration(), containerdFile: containerdConfig, containerdSocket: containerdAddress)
        let findings = doctor.machine() + doctor.containerd() + (image.map { [doctor.image($0)] } ?? [])
        if json { try Output.json(findings) } else { show(findings) }
        if findings.contains(where: { $0.state == .bad }) { throw ExitStatus(code: 1) }
    }

    private func show(_ findings: [Doctor.Finding]) {
        for finding in findings {
            let mark =
                switch finding.state {
                case .ok: "ok  "
                case .note: "note"
                case .bad: "BAD "
                }
            Output.print("\(mark)  \(finding.subject): \(finding.text)")
            if let cure = finding.cure { Output.print("      -> \(cure)") }
        }
    }
}
