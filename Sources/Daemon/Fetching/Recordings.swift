// SPDX-License-Identifier: Apache-2.0

import Base
import Volumes

/// Takes down what containers read at their start, and keeps that as the boot profile of their image.
///
/// What `slacker profile` asks for always becomes the profile. What is taken down by the way, of any
/// container, becomes it only where there is none.
final class Recordings: Sendable {
    private struct Recording {
        let image: String
        let recorder: TouchRecorder
        let isAskedFor: Bool
        let started = MonotonicTime.now
        var hasEnded = false
    }

    private let store: VolumeStore
    /// Seconds of a container's life that are taken down by the way; 0 for none.
    private let seconds: Double
    private let recordings = Lock([String: Recording]())

    init(store: VolumeStore, seconds: Double) {
        self.store = store
        self.seconds = seconds
    }

    /// Begins with a container whose volume has just been cloned.
    func begin(_ container: String, image: String, isAskedFor: Bool) throws(Failure) {
        guard isAskedFor || seconds > 0 else { return }
        do throws(VolumeError) {
            let recording = Recording(
                image: image, recorder: try store.record(volume: container), isAskedFor: isAskedFor)
            recordings.withLock { $0[container] = recording }
        } catch {
            throw Failure(error)
        }
    }

    /// Makes a profile of what a container has read so far.
    func finish(_ container: String) throws(Failure) -> ProfileInfo {
        guard let recording = recordings.withLock({ $0.removeValue(forKey: container) }), recording.isAskedFor
        else {
            throw Failure(.notFound, "container '\(container)': nobody records it; use 'slacker profile'")
        }
        recording.recorder.stop()
        do throws(VolumeError) {
            let profile = try recording.recorder.profile()
            try store.setProfile(profile, ofImage: recording.image)
            return Self.info(profile, try store.image(named: recording.image))
        } catch {
            throw Failure(error)
        }
    }

    /// The container has ended; what it read is kept soon, since somebody waits for the end.
    func end(_ container: String) {
        recordings.withLock { all in
            all[container]?.recorder.stop()
            all[container]?.hasEnded = true
        }
    }

    /// Nothing is kept of a container that did not come to be.
    func drop(_ container: String) {
        recordings.withLock { $0.removeValue(forKey: container) }?.recorder.stop()
    }

    /// Keeps what is complete; called now and then.
    func tidy() {
        let due = recordings.withLock { all -> [Recording] in
            let due = all.filter { _, recording in
                let isLong = MonotonicTime.now.seconds(since: recording.started) >= seconds
                return recording.hasEnded || (isLong && !recording.isAskedFor)
            }
            for name in due.keys { all[name] = nil }
            return due.values.filter { !$0.isAskedFor }
        }
        for recording in due { keep(recording) }
    }

    private func keep(_ recording: Recording) {
        recording.recorder.stop()
        // A snapshot that is still being sealed has no chunks to name yet, and is not worth waiting for.
        guard let image = try? store.image(named: recording.image), image.isSealed,
            recording.recorder.touchedBlocks > 0
        else { return }
        do throws(VolumeError) {
            if try store.profile(ofImage: image.name) != nil { return }
            try store.setProfile(try recording.recorder.profile(), ofImage: image.name)
        } catch {
            Log.warning(
                "profile", "what a container read is not kept", ["image": image.name, "reason": "\(error)"])
        }
    }

    static func info(_ profile: BootProfile, _ image: ImageRecord) -> ProfileInfo {
        ProfileInfo(
            image: image.name, touches: profile.touches.count, touchedBytes: profile.byteCount,
            dataBytes: image.dataBytes ?? 0)
    }
}
