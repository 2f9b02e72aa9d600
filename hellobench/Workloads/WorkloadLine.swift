// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// A workload as `hellobench list --json` prints it.
struct WorkloadLine: Encodable {
    struct Task: Encodable {
        let kind: String
        let argv: [String]
        let stdin: String?
        let mounts: [String]
        let environment: [String]
        let ready: String
        let timeLimitSeconds: Int

        init(_ task: ContainerTask) {
            kind = task.kind.rawValue
            argv = task.argv
            stdin = task.stdin
            mounts = task.mounts.map(\.target)
            environment = task.environment
            ready = task.ready.text
            timeLimitSeconds = task.timeLimitSeconds
        }
    }

    let name: String
    let image: String
    let category: String
    let task: Task
    let fidelity: String?
    let layers: Int?
    let debianTask: Task?
    let whyNotDebian: String?
    let notes: [String]

    init(_ workload: Workload) {
        name = workload.name
        image = workload.image
        category = workload.category.rawValue
        task = Task(workload.task)
        fidelity = workload.debian?.fidelity.rawValue
        layers = workload.debian?.layers.count
        debianTask = workload.debian.map { Task($0.task) }
        whyNotDebian = workload.whyNotDebian
        notes = workload.notes
    }

    var text: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}
