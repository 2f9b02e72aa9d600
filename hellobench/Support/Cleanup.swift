// SPDX-License-Identifier: Apache-2.0

/// What has to be undone, last first, whether the run ends well, badly or by Ctrl-C.
final class Cleanup {
    private var steps: [(name: String, undo: () throws -> Void)] = []

    func add(_ name: String, _ undo: @escaping () throws -> Void) {
        steps.append((name, undo))
    }

    /// Undoes everything; a step that fails is reported and does not keep the others from being tried.
    func run() {
        while let step = steps.popLast() {
            do { try step.undo() } catch { Terminal.note("cleaning up: \(step.name): \(error)") }
        }
    }
}
