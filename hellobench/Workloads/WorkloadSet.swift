// SPDX-License-Identifier: Apache-2.0

/// The workloads of a file, in its order.
struct WorkloadSet: Sendable {
    let workloads: [Workload]

    /// Reads a file of workloads, and the programs it names from the folder `programs` beside it.
    ///
    /// - Parameter path: nil for the workloads that are part of this program.
    static func load(_ path: String?) throws -> WorkloadSet {
        guard let path else {
            return try read(
                PackageResources.workloads_json, name: "workloads.json", programs: EmbeddedPrograms.content)
        }
        guard let content = Files.bytes(path) else { throw BenchError.last("open", path) }
        let folder = path.contains("/") ? path[...(path.lastIndex(of: "/") ?? path.startIndex)] : ""
        return try read(content, name: path) { Files.bytes(folder + "programs/" + $0) }
    }

    /// - Parameters:
    ///   - name: what errors call the file.
    ///   - programs: the content of a program by its name; nil when there is none.
    static func read(
        _ content: [UInt8], name: String, programs: @escaping (String) -> [UInt8]?
    ) throws(WorkloadError) -> WorkloadSet {
        let root: JSONNode
        do throws(JSONParser.Failure) {
            root = try JSONParser.parse(content)
        } catch {
            throw WorkloadError(file: name, line: error.line, key: "", problem: error.problem)
        }
        let file = try NodeReader(file: name, key: "", node: root)
            .object(keys: ["schema", "suite", "bases", "workloads"])
        let schema = try file.required("schema")
        guard try schema.string() == schemaName else { throw schema.error("\(schemaName) is expected here") }
        var decoder = WorkloadDecoder(suite: try file.required("suite").name(), programs: programs)
        if let bases = file["bases"] { try decoder.addBases(bases) }
        var workloads: [Workload] = []
        for reader in try file.required("workloads").array() {
            let workload = try decoder.workload(reader)
            if workloads.contains(where: { $0.name == workload.name }) {
                throw reader.error("there is another workload with the name \(workload.name)")
            }
            workloads.append(workload)
        }
        return WorkloadSet(workloads: workloads)
    }

    static let schemaName = "hellobench-workloads/2"

    /// Those that are named, in the order of their names, or all, and of them those of a category.
    ///
    /// - Parameters:
    ///   - images: names of workloads, separated by commas; nil for all.
    ///   - category: categories, separated by commas; nil for all.
    func select(images: String? = nil, category: String? = nil) throws(BenchError) -> [Workload] {
        let categories = try category.map(Self.categories)
        let named = try images.map(named) ?? workloads
        let selected = named.filter { categories?.contains($0.category) ?? true }
        if selected.isEmpty {
            throw .answer("no workload of \(images ?? "all") is of the category \(category ?? "any")")
        }
        return selected
    }

    private func named(_ images: String) throws(BenchError) -> [Workload] {
        var selected: [Workload] = []
        for name in Self.words(images) {
            guard let workload = workloads.first(where: { $0.name == name }) else {
                throw Self.unknown("image", name, known: workloads.map(\.name))
            }
            if !selected.contains(where: { $0.name == name }) { selected.append(workload) }
        }
        return selected
    }

    private static func categories(_ text: String) throws(BenchError) -> [Workload.Category] {
        var categories: [Workload.Category] = []
        for name in words(text) {
            guard let category = Workload.Category(rawValue: name) else {
                throw unknown("category", name, known: Workload.Category.allCases.map(\.rawValue))
            }
            categories.append(category)
        }
        return categories
    }

    private static func words(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0.drop { $0 == " " }) }
    }

    private static func unknown(_ what: String, _ name: String, known: [String]) -> BenchError {
        let near = NearMatch.names(like: name, in: known)
        let hint =
            near.isEmpty
            ? known.count > 8 ? "hellobench list shows all" : "known are \(known.joined(separator: ", "))"
            : "did you mean \(near.joined(separator: " or "))?"
        return .answer("\(name): no such \(what); \(hint)")
    }
}
