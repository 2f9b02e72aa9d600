// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The routes of the control API: which call does what.
///
/// Blocks; for plain threads.
struct Router: Sendable {
    let driver: Driver

    /// Does one call, and tells the event log.
    func route(_ call: Call) throws(Failure) -> Reply {
        let reply = try answer(call)
        noteEvent(call, reply)
        return reply
    }

    private func answer(_ call: Call) throws(Failure) -> Reply {
        switch (call.method, call.path.first ?? "", call.path.count) {
        case ("GET", "status", 1): return try .value(driver.status())
        case ("GET", "config", 1):
            return try .value(ConfigurationInfo(process: getpid(), settings: driver.configuration.entries))
        case ("GET", "df", 1): return try .value(driver.usage())
        case ("GET", "metrics", 1): return .text(driver.metrics())
        case ("GET", "activity", 1): return try .value(driver.activity())
        case ("GET", "events", 1): return try .value(events(call))
        case ("GET", "laziness", 2): return try .value(driver.laziness(of: call.path[1]))
        case ("GET", "traces", 2):
            return try .value(driver.traces.take(call.path[1], waitMs: call.number("wait_ms") ?? 0))
        case ("DELETE", "traces", 2):
            driver.endTrace(call.path[1])
            return try .value(Done())
        case ("GET", "images", 1): return try .value(driver.images())
        case ("GET", "volumes", 1): return try .value(driver.volumes())
        case ("GET", "mounts", 1): return try .value(driver.mounts.list())
        case ("GET", "containers", 1): return try .value(driver.containers.list())
        case ("GET", "names", 2): return try .value(driver.inspect(call.path[1]))
        case ("GET", "names", 3) where call.path[2] == "files":
            return .lines(try driver.files(of: call.path[1]))
        case ("GET", "names", 3) where call.path[2] == "heat":
            return try .value(driver.heat(of: call.path[1]))
        case ("GET", "names", 4) where call.path[2] == "changes":
            return .lines(try driver.changes(from: call.path[1], to: call.path[3]))
        case ("DELETE", "names", 2):
            try driver.remove(call.path[1])
            return try .value(Done())
        case ("GET", "fills", 1): return try .value(driver.fills.list())
        case ("POST", _, 1): return try create(call)
        case ("GET", "operations", 2):
            let milliseconds = call.number("wait_ms") ?? 0
            return try .value(driver.operations.operation(call.path[1]).wait(milliseconds: milliseconds))
        case ("DELETE", "operations", 2):
            try driver.operations.operation(call.path[1]).cancel()
            return try .value(Done())
        case ("DELETE", "mounts", 2):
            try driver.mounts.unmount(call.path[1])
            return try .value(Done())
        case ("DELETE", "containers", 2):
            try driver.containers.release(call.path[1])
            return try .value(Done())
        default: throw noRoute(call)
        }
    }

    private func create(_ call: Call) throws(Failure) -> Reply {
        switch call.path[0] {
        case "imports": try .value(driver.startImport(call.decode(ImportRequest.self)))
        case "clones": try .value(driver.clone(call.decode(CloneRequest.self)))
        case "snapshots": try .value(driver.snapshot(call.decode(SnapshotRequest.self)))
        case "mounts":
            try .value(
                driver.explainingFullDisk { () throws(Failure) in
                    try driver.mounts.mount(call.decode(MountRequest.self))
                })
        case "containers": try .value(driver.createContainer(call.decode(ContainerRequest.self)))
        case "pushes": try .value(driver.startPush(call.decode(PushRequest.self)))
        case "pulls": try .value(driver.startPull(call.decode(PullRequest.self)))
        case "traces": try .value(driver.startTrace(call.decode(TraceRequest.self).name))
        case "exports": try .value(driver.startExport(call.decode(ExportRequest.self)))
        case "collections": try .value(driver.collect())
        case "checks": try .value(driver.startCheck(call.decode(CheckRequest.self)))
        case "fills": try .value(driver.fills.change(call.decode(FillRequest.self)))
        case "scrubs": try .value(driver.scrubber.change(call.decode(ScrubRequest.self)))
        case "successions": try .value(driver.makeRoom())
        case "profiles":
            try .value(driver.recordings.finish(call.decode(ProfileRequest.self).container))
        default: throw noRoute(call)
        }
    }

    private func events(_ call: Call) -> [EventInfo] {
        let after = call.query["after"].flatMap { UInt64($0) } ?? 0
        return driver.events.events(after: after, waitMs: call.number("wait_ms") ?? 0)
    }

    private func noRoute(_ call: Call) -> Failure {
        let path = "/\(Version.api)/" + call.path.joined(separator: "/")
        return Failure(.noRoute, "\(call.method) \(path): the control API has no such call; see docs/api.md")
    }
}
