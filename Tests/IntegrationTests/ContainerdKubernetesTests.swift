// SPDX-License-Identifier: Apache-2.0

import Base
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc
import SwiftProtobuf
import Testing

/// containerd's CRI plugin, called as the kubelet calls it.
@Suite("containerd, CRI", .withContainerd, .timeLimit(.minutes(5)))
struct ContainerdKubernetesTests {
    private typealias Client = GRPCClient<HTTP2ClientTransport.Posix>

    private static func configuration(_ host: String) -> String {
        """
        [plugins."io.containerd.grpc.v1.cri"]
          sandbox_image = "\(host)/app:latest"
          disable_apparmor = true
          restrict_oom_score_adj = true
          [plugins."io.containerd.grpc.v1.cri".containerd]
            snapshotter = "slacker"
            disable_snapshot_annotations = false
          [plugins."io.containerd.grpc.v1.cri".registry.mirrors."\(host)"]
            endpoint = ["http://\(host)"]
        """
    }

    @Test("a pod of a lazy image: pulled without its layers, started, measured, removed")
    func pod() async throws {
        let lab = try ContainerdLab(cri: Self.configuration)
        try lab.machine.host(
            "umoci", "config", "--image", String(lab.layout.dropFirst(4)), "--clear=config.cmd",
            "--config.cmd", "sleep", "--config.cmd", "600")
        try lab.machine.host(
            "skopeo", "copy", "-q", "--dest-tls-verify=false", lab.layout, "docker://" + lab.image)
        try lab.machine.succeed("pull", "--publish", lab.image)
        try lab.machine.succeed("rm", lab.image)
        let transport = try HTTP2ClientTransport.Posix(
            target: .unixDomainSocket(path: lab.containerd.socket, authority: "localhost"),
            transportSecurity: .plaintext)
        let socket = lab.containerd.socket
        try await withGRPCClient(transport: transport) { client in
            try await Self.exercise(client, lab.image, socket)
        }
        let content = try lab.containerd.succeed(namespace: "k8s.io", "content", "list", "--quiet")
        #expect(content.split(separator: "\n").isEmpty, "\(content)")
        #expect(try lab.containerd.keys(namespace: "k8s.io").isEmpty)
        try lab.expectNothingLeft()
    }

    private static func exercise(_ client: Client, _ image: String, _ socket: String) async throws {
        let images = Runtime_V1_ImageService.Client(wrapping: client)
        let runtime = Runtime_V1_RuntimeService.Client(wrapping: client)
        _ = try await images.pullImage(.with { $0.image.image = image })
        let pod = Runtime_V1_PodSandboxConfig.with { pod in
            (pod.metadata.name, pod.metadata.uid, pod.metadata.namespace) = ("pod", "u1", "default")
            pod.linux.securityContext.namespaceOptions.network = .node
        }
        let sandbox = try await runtime.runPodSandbox(.with { $0.config = pod }).podSandboxID
        let container = try await runtime.createContainer(
            .with { request in
                request.podSandboxID = sandbox
                request.sandboxConfig = pod
                request.config.metadata.name = "main"
                request.config.image.image = image
                request.config.command = ["sleep", "600"]
                request.config.linux.securityContext.namespaceOptions.network = .node
            }
        ).containerID
        _ = try await runtime.startContainer(.with { $0.containerID = container })
        // No layer was fetched: manifest and configuration are there.
        let content = try Subprocess.run([
            "ctr", "--address", socket, "--namespace", "k8s.io", "content", "list", "--quiet",
        ]).output
        #expect(content.split(separator: "\n").count == 2, "\(content)")

        let output = try await runtime.execSync(
            .with { request in
                request.containerID = container
                request.cmd = ["sh", "-c", "cat /data/link; head -c 2000000 /dev/urandom >/data/big; sync"]
                request.timeout = 30
            })
        #expect(String(decoding: output.stdout, as: UTF8.self) == "second\nthird\n")
        try await checkStatistics(runtime, container)
        _ = try await runtime.stopPodSandbox(.with { $0.podSandboxID = sandbox })
        _ = try await runtime.removePodSandbox(.with { $0.podSandboxID = sandbox })
        _ = try await images.removeImage(.with { $0.image.image = image })
        for _ in 0..<100 {
            let left = try Subprocess.run([
                "ctr", "--address", socket, "--namespace", "k8s.io", "content", "list", "--quiet",
            ]).output
            if left.isEmpty { break }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// The plugin asks for the usage of every snapshot now and then.
    private static func checkStatistics(
        _ runtime: Runtime_V1_RuntimeService.Client<HTTP2ClientTransport.Posix>, _ container: String
    ) async throws {
        var used: UInt64 = 0
        for _ in 0..<150 where used < 2_000_000 {
            let statistics = try await runtime.containerStats(.with { $0.containerID = container })
            used = statistics.stats.writableLayer.usedBytes.value
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(used >= 2_000_000 && used < 8_000_000)
    }
}
