// SPDX-License-Identifier: Apache-2.0

import Volumes

extension Driver {
    /// Begins a check of the state directory, beside everything else.
    func startCheck(_ request: CheckRequest) throws(Failure) -> OperationInfo {
        try operations.start("check") { [store] operation in
            let report = try store.check(CheckOptions(request)) { phase, done, total in
                operation.progress(phase: phase, doneBytes: done, totalBytes: total)
                return !operation.isCancelled
            }
            if operation.isCancelled { throw Failure(.cancelled, "check: cancelled") }
            operation.succeed { $0.check = CheckInfo(report) }
        }.info
    }
}

extension CheckOptions {
    init(_ request: CheckRequest) {
        self.init(repairs: request.repair, isDeep: request.deep)
    }
}

/// The check of a state directory that no daemon uses.
public enum StoppedStore {
    /// Opens the directory as a daemon does, which clears away what an unclean end left, and checks it.
    ///
    /// - Parameter progress: gets what is being done, and bytes done of bytes in all; false ends a deep check.
    public static func check(
        _ places: Places, _ request: CheckRequest,
        progress: @escaping (_ phase: String, _ doneBytes: UInt64, _ totalBytes: UInt64) -> Bool
    ) throws(Failure) -> CheckInfo {
        do throws(VolumeError) {
            // A daemon may be on its way back to containers that still run.
            let store = try VolumeStore(root: places.root, inheritance: .everything)
            defer { store.close() }
            return CheckInfo(try store.check(CheckOptions(request), progress: progress))
        } catch {
            throw Failure(error)
        }
    }
}
