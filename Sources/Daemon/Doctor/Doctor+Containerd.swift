// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

extension Doctor {
    /// Whether containerd and the daemon have found each other; nothing where there is no containerd.
    public func containerd() -> [Finding] {
        guard access(containerdSocket, F_OK) == 0 else {
            return [
                note(
                    "containerd", "not at \(containerdSocket)",
                    "start it, or name its socket with --containerd-address, if it is wanted"
                )
            ]
        }
        return [
            ok("containerd", "at \(containerdSocket)"), service(), proxyPlugin(), annotations(), plugin(),
        ]
        .compactMap { $0 }
    }

    /// Where the daemon serves containerd.
    private var socket: String {
        let path = configuration[Settings.containerdSocket]
        return path.isEmpty ? configuration.places.run + "/containerd.sock" : path
    }

    private func service() -> Finding {
        if socket == "none" {
            return bad("service", "containerd.socket is none", "remove that setting and restart the daemon")
        }
        if access(socket, F_OK) == 0 { return ok("service", "at \(socket)") }
        return bad("service", "nothing listens at \(socket)", "start the daemon with 'slacker daemon'")
    }

    /// Lines of containerd's configuration without spaces and comments; nil when it cannot be read.
    ///
    /// A look at the text is enough to say what is missing; containerd itself is asked after that.
    private var configurationLines: [String]? {
        guard let bytes = try? File.small(containerdFile) else { return nil }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            .map { $0.filter { !$0.isWhitespace } }.filter { !$0.hasPrefix("#") }
    }

    private func proxyPlugin() -> Finding {
        guard let lines = configurationLines else {
            return bad("configuration", "\(containerdFile) cannot be read", Self.pluginCure(socket))
        }
        guard lines.contains(where: { $0.hasPrefix("[proxy_plugins.") && $0.contains("slacker") }) else {
            return bad(
                "configuration", "\(containerdFile) has no proxy plugin slacker", Self.pluginCure(socket))
        }
        if lines.contains(where: { $0.hasPrefix("address=") && $0.contains(socket) }) {
            return ok("configuration", "\(containerdFile) names the proxy plugin")
        }
        return bad(
            "configuration", "\(containerdFile) names another socket than \(socket)", Self.pluginCure(socket))
    }

    /// Kubernetes pulls lazily only where the CRI plugin says which image a layer belongs to.
    ///
    /// - Returns: nil where it is not used.
    private func annotations() -> Finding? {
        guard let lines = configurationLines, lines.contains("snapshotter=\"slacker\"") else { return nil }
        if lines.contains("disable_snapshot_annotations=false") {
            return ok("annotations", "the CRI plugin names the image of each layer")
        }
        return note(
            "annotations",
            "the CRI plugin does not name the image of each layer, so nothing is lazy in Kubernetes",
            "set disable_snapshot_annotations = false beside snapshotter = \"slacker\"; restart containerd")
    }

    private static func pluginCure(_ socket: String) -> String {
        "add [proxy_plugins.slacker], type = \"snapshot\", address = \"\(socket)\"; restart containerd"
    }

    private func plugin() -> Finding? {
        guard let ctr = Self.find("ctr"),
            let result = try? Subprocess.run([ctr, "--address", containerdSocket, "plugins", "list"])
        else { return nil }
        let line = result.output.split(separator: "\n").first { line in
            line.split(separator: " ").contains("slacker")
        }
        guard let line else {
            return bad("plugin", "containerd has not registered slacker", "restart containerd")
        }
        if line.split(separator: " ").last == "ok" { return ok("plugin", "registered") }
        return bad("plugin", "registered, but with an error", "see containerd's log")
    }
}
