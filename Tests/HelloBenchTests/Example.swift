// SPDX-License-Identifier: Apache-2.0

@testable import hellobench

/// Results with something of everything, names that need escaping, and failures.
enum Example {
    static let link = LinkRecord(megabits: 1000, delayMilliseconds: 0.5)
    static let images = ["alpine", "gcc", "a<b>&\"c\" | d"]

    static var results: Results {
        var results = Results()
        results.machines = [
            MachineRecord(
                host: "h", kernel: "6.1", cpu: "a <fast> one", cores: 2, memoryBytes: 1 << 34,
                date: "2026-01-31T12:00:00Z", versions: ["slacker": "1"])
        ]
        results.samples = samples
        results.timelines = [
            TimelineRecord(
                image: "gcc", engine: "slacker", points: [[0, 0], [0.5, 1e6], [1, 2e6]], readySeconds: 0.8),
            TimelineRecord(
                image: "gcc", engine: "containerd", points: [[0, 0], [9, 2e8]], readySeconds: 10),
        ]
        results.throughputs = ["slacker", "containerd"].flatMap { engine in
            (1...2).map { round in
                ThroughputRecord(
                    benchmark: "redis", engine: engine, round: round, link: link,
                    startSeconds: engine == "slacker" ? 0.5 : 6,
                    perSecond: (0..<90).map { $0 < 6 && engine != "slacker" ? 0 : 1000 + Double($0 % 7) },
                    unit: "requests")
            }
        }
        results.analyses = analyses
        results.scales = [1, 10, 100].map { containers in
            ScaleRecord(
                engine: "slacker", round: 1, containers: containers, images: 1, link: link,
                seconds: 0.2 + Double(containers) / 50, receivedBytes: 1_000_000,
                memoryBytesPerContainer: 9 << 20, status: .ok)
        }
        return results
    }

    private static var analyses: [AnalysisRecord] {
        let reads = images.map { image in
            AnalysisRecord(
                name: "amplification", image: image,
                values: ["imageBytes": 1e8, "readBytes": 6e6, "fetchedBytes": 3e6])
        }
        return reads + [
            AnalysisRecord(name: "layers", image: "gcc", values: ["1": 1e6, "2": 5e7]),
            AnalysisRecord(name: "second-run", image: "gcc", values: ["hits": 990, "misses": 10]),
            AnalysisRecord(name: "dedup", values: ["plain": 9e9, "gzip": 4e9, "chunk": 3e9]),
            AnalysisRecord(name: "pull-share", image: "gcc", values: ["share": 0.76]),
        ]
    }

    private static var samples: [SampleRecord] {
        (1...3).flatMap { round in
            images.enumerated().flatMap { index, image in
                ["slacker", "containerd", "stargz"].flatMap { engine in
                    Cycle.allCases.flatMap { cycle in
                        Operation.allCases.filter { cycle == .development || $0 != .commit }.map {
                            operation in
                            sample(round, image, index, engine, cycle, operation)
                        }
                    }
                }
            }
        }
    }

    /// Containerd takes 10 times as long, and fails to run the last image.
    private static func sample(
        _ round: Int, _ image: String, _ index: Int, _ engine: String, _ cycle: Cycle, _ operation: Operation
    ) -> SampleRecord {
        let isFailed = engine == "containerd" && index == 2 && operation == .run
        let seconds = Double(index + 1) * (engine == "slacker" ? 0.1 : 1) * (0.9 + Double(round) / 20)
        return SampleRecord(
            run: "r", round: round, image: image, category: "language", engine: engine, op: operation,
            cycle: cycle == .deployment ? nil : cycle, cold: true, link: link, seconds: seconds,
            receivedBytes: 1000, sentBytes: 10, peakMemoryBytes: 1 << 20,
            status: isFailed ? .timeout : .ok, error: isFailed ? "no line matched" : nil,
            phases: engine == "slacker" ? ["resolve": seconds / 4, "mount": seconds / 2] : nil)
    }
}
