// SPDX-License-Identifier: Apache-2.0

/// Copies images to a registry.
struct Publisher {
    static let tools = [(program: "skopeo", package: "skopeo")]

    let commands: Commands

    /// Copies an image layout, the image tagged `latest` in it, to a registry.
    ///
    /// - Parameter registry: `HOST:PORT`, with a path below it if there is one. Spoken to without TLS when it
    ///   does not know TLS.
    func push(layout: String, to registry: String, name: String, tag: String = "latest") throws {
        try copy("oci:\(layout):latest", to: "docker://\(registry)/\(name):\(tag)")
    }

    /// Copies an image from one registry to another.
    ///
    /// - Parameter source: with the path and the tag, such as `docker.io/library/redis:7.2`.
    func mirror(_ source: String, to registry: String, name: String, tag: String = "latest") throws {
        try copy("docker://" + source, to: "docker://\(registry)/\(name):\(tag)")
    }

    private func copy(_ source: String, to target: String) throws {
        try commands.run(
            [
                "skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false",
                "--dest-tls-verify=false", "--retry-times=2", source, target,
            ], seconds: 1800)
    }

    /// Fails at once with the reason when nothing answers there as a registry does.
    func check(_ registry: String) throws {
        let host = String(registry.split(separator: "/").first ?? "")
        do throws(BenchError) {
            try commands.run(
                [
                    "skopeo", "--insecure-policy", "list-tags", "--tls-verify=false",
                    "docker://\(host)/hellobench",
                ],
                seconds: 30)
        } catch {
            // A registry that does not know the name has answered; so has one that wants a password.
            guard case .commandFailed(_, _, let output) = error else { throw error }
            let signs = ["name unknown", "not found", "unauthorized", "authentication required", "denied"]
            if signs.contains(where: output.lowercased().contains) { return }
            throw BenchError.answer("\(host): no registry answers there: \(output)")
        }
    }
}
