// SPDX-License-Identifier: Apache-2.0

extension Router {
    /// Members of requests that say what they are about.
    private struct Subject: Decodable {
        var name: String?
        var image: String?
        var volume: String?
        var directory: String?
    }

    /// Tells the event log what a call that has succeeded has done.
    ///
    /// Operations tell of themselves, when they begin and end.
    func noteEvent(_ call: Call, _ reply: Reply) {
        guard call.method != "GET", let kind = call.path.first else { return }
        let subject = (try? JSON.decode(Subject.self, call.body)) ?? Subject()
        let events = driver.events
        switch (call.method, kind) {
        case ("DELETE", "names"): events.note("removed", call.path[1])
        case ("DELETE", "mounts"): events.note("unmounted", call.path[1])
        case ("DELETE", "containers"): events.note("container.ended", call.path[1])
        case ("POST", "clones"):
            events.note("volume.created", subject.volume ?? "", ["image": subject.image ?? ""])
        case ("POST", "snapshots"):
            events.note("image.created", subject.image ?? "", ["volume": subject.volume ?? ""])
        case ("POST", "mounts"):
            events.note("mounted", subject.name ?? "", ["directory": subject.directory ?? ""])
        case ("POST", "containers"): noteContainer(reply)
        case ("POST", "collections"): events.note("collected", "")
        case ("POST", "profiles"): noteProfile(reply)
        default: break
        }
    }

    private func noteContainer(_ reply: Reply) {
        guard case .json(let bytes) = reply,
            let container = (try? JSON.decode(ContainerAnswer.self, bytes))?.container
        else { return }
        driver.events.note("container.created", container.id, ["image": container.image])
    }

    private func noteProfile(_ reply: Reply) {
        guard case .json(let bytes) = reply, let profile = try? JSON.decode(ProfileInfo.self, bytes) else {
            return
        }
        driver.events.note("profile.recorded", profile.image, ["touched_bytes": "\(profile.touchedBytes)"])
    }
}
