// SPDX-License-Identifier: Apache-2.0

import ChunkStore
import Distribution
import Volumes

extension Driver {
    /// Why an image is, or would be, read lazily, or is not.
    func laziness(of text: String) throws(Failure) -> LazinessInfo {
        if let name = localImage(text) {
            do throws(VolumeError) { return try local(store.image(named: name)) } catch {
                throw Failure(error)
            }
        }
        if store.kind(of: text) == .volume {
            do throws(VolumeError) {
                let volume = try store.volume(named: text)
                return try local(store.image(named: volume.parentImage))
            } catch {
                throw Failure(error)
            }
        }
        return try remote(text)
    }

    private func local(_ image: ImageRecord) throws(VolumeError) -> LazinessInfo {
        let (data, here) = (image.dataBytes ?? 0, image.localBytes ?? 0)
        if let reason = image.brokenReason {
            return LazinessInfo(
                name: image.name, verdict: .unavailable, reasons: ["it is damaged: \(reason)"],
                remedies: ["remove it and pull it again"])
        }
        if image.sources.isEmpty {
            let origin =
                image.source.hasPrefix("volume:")
                ? "it was made of a volume here" : "it came as \(image.source)"
            return LazinessInfo(
                name: image.name, verdict: .local,
                reasons: ["no source has its blocks: \(origin)", "all of it is on this machine"],
                remedies: [
                    "push it; machines that pull what was pushed read it lazily",
                    "an ordinary image is fetched whole: 'slacker pull --publish' attaches a block image to it",
                ])
        }
        var reasons = ["its blocks can be fetched from \(image.sources.joined(separator: ", "))"]
        let down = network.engine.status().sources.filter(\.isDown)
        for source in down { reasons.append("\(source.name) is down: \(source.lastError ?? "no answer")") }
        if here >= data {
            reasons.insert("all of it is here by now, fetched by reads and by filling", at: 0)
            return LazinessInfo(name: image.name, verdict: .whole, reasons: reasons, remedies: [])
        }
        reasons.insert("\(here) of its \(data) bytes are here, the rest comes when it is read", at: 0)
        let fill = fills.info(image.name)
        reasons.append("fill is \(fill.state.rawValue), by the policy \(configuration[Settings.fillPolicy])")
        return LazinessInfo(name: image.name, verdict: .lazy, reasons: reasons, remedies: [])
    }

    private func remote(_ text: String) throws(Failure) -> LazinessInfo {
        do throws(DistributionError) {
            let reference = try RemoteReference(parsing: configuration.completed(text))
            let kind = try RemoteKind.find(reference, clients: network.clients)
            let isTrusted = configuration.blockImagePolicy.isTrusted(reference)
            return Self.explain("\(reference)", kind, isTrusted: isTrusted, origin: reference.origin)
        } catch {
            throw Failure(error)
        }
    }

    static func explain(
        _ name: String, _ kind: RemoteKind, isTrusted: Bool, origin: String
    ) -> LazinessInfo {
        func info(
            _ verdict: LazinessInfo.Verdict, _ reason: String, _ remedies: [String] = []
        ) -> LazinessInfo {
            LazinessInfo(
                name: name, verdict: verdict, reasons: ["it is not here", reason], remedies: remedies)
        }
        let trust =
            "add \(origin) to registries.block_images in the configuration, if you trust what is pushed there"
        switch kind {
        case .absent: return info(.unavailable, "there is no such image at \(origin)", ["check name and tag"])
        case .block where isTrusted: return info(.wouldBeLazy, "it is a block image")
        case .block: return info(.unavailable, "it is a block image, and \(origin) is not trusted", [trust])
        case .ordinary(attached: 0):
            return info(
                .wouldBeWhole, "it is an ordinary image, and no block image is attached to it",
                ["'slacker pull --publish \(name)' attaches one, for all who come later"])
        case .ordinary where isTrusted:
            return info(.wouldBeLazy, "it is an ordinary image with a block image attached")
        case .ordinary:
            return info(
                .wouldBeWhole, "a block image is attached to it, and \(origin) is not trusted", [trust])
        }
    }
}
