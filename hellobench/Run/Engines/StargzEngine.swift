// SPDX-License-Identifier: Apache-2.0

final class StargzEngine: ContainerEngine {
    let name = "stargz"
    let tools: [(program: String, package: String)] = []
    let daemons: [Int32] = []
    let storeDirectories: [String] = []
    init(_ place: EnginePlace) {}
    func versions() -> [String: String] { [:] }
    func begin() throws { throw BenchError.answer("not yet") }
    func end() throws {}
    func pull(_ reference: String) -> [String] { [] }
    func push(_ reference: String, as target: String) -> [[String]] { [] }
    func run(_ container: ContainerRun, pulls: Bool) -> [String] { [] }
    func kill(_ container: String) -> [String] { [] }
}
