// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport

/// What is done to a store, one step after the other; a seed gives the same steps in every process.
enum Step {
    case addImage(name: String, content: [UInt8])
    case clone(image: String, volume: String)
    case write(volume: String, offset: Int, bytes: [UInt8])
    case discard(volume: String, offset: Int, count: Int)
    case synchronize(volume: String)
    case snapshot(volume: String, image: String)
    case waitUntilSealed(image: String)
    case remove(name: String)
}

/// What a store holds by the promises that its answers made.
struct Expected {
    struct Volume {
        var bytes: [UInt8]
        /// By block, everything that it may be after a power cut: what the last flush saw, and all since.
        var history: [[ArraySlice<UInt8>]] = []
        /// A flush has been acknowledged.
        var isDurable = false

        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            flushed()
            isDurable = false
        }

        mutating func flushed() {
            isDurable = true
            history = (0..<bytes.count / Block.bytes).map { [block($0)] }
        }

        mutating func change(_ offset: Int, _ new: [UInt8]) {
            bytes.replaceSubrange(offset..<offset + new.count, with: new)
            for index in offset / Block.bytes...(offset + new.count - 1) / Block.bytes {
                history[index].append(block(index))
            }
        }

        private func block(_ index: Int) -> ArraySlice<UInt8> {
            bytes[index * Block.bytes..<(index + 1) * Block.bytes]
        }
    }

    var images: [String: [UInt8]] = [:]
    var volumes: [String: Volume] = [:]

    mutating func apply(_ step: Step) {
        switch step {
        case .addImage(let name, let content): images[name] = content
        case .clone(let image, let name): volumes[name] = Volume(images[image] ?? [])
        case .write(let name, let offset, let bytes): volumes[name]?.change(offset, bytes)
        case .discard(let name, let offset, let count):
            volumes[name]?.change(offset, [UInt8](repeating: 0, count: count))
        case .synchronize(let name): volumes[name]?.flushed()
        case .snapshot(let name, let image):
            images[image] = volumes[name]?.bytes
            // What a snapshot has is flushed, and the volume lies on it.
            volumes[name]?.flushed()
        case .waitUntilSealed: break
        case .remove(let name):
            images[name] = nil
            volumes[name] = nil
        }
    }
}

/// Makes steps that suit what there is.
struct Script {
    private(set) var expected = Expected()
    private var random: SplitMix
    private var counter = 0

    init(seed: UInt64) {
        random = SplitMix(seed: seed)
    }

    mutating func next() -> Step {
        let step = make()
        expected.apply(step)
        return step
    }

    private mutating func make() -> Step {
        guard let image = pick(expected.images.keys) else { return addImage() }
        guard let volume = pick(expected.volumes.keys), let size = expected.volumes[volume]?.bytes.count
        else {
            return .clone(image: image, volume: name("v"))
        }
        switch random.below(100) {
        case 0..<5: return expected.images.count < 5 ? addImage() : .remove(name: image)
        case 5..<12:
            return expected.volumes.count < 4
                ? .clone(image: image, volume: name("v")) : .remove(name: volume)
        case 12..<48: return write(volume, size, aligned: true)
        case 48..<58: return write(volume, size, aligned: false)
        case 58..<66:
            let (offset, count) = range(size, unit: Block.bytes)
            return .discard(volume: volume, offset: offset, count: count)
        case 66..<84: return .synchronize(volume: volume)
        case 84..<92: return .snapshot(volume: volume, image: name("s"))
        case 92..<96: return .waitUntilSealed(image: image)
        default: return .remove(name: random.below(2) == 0 ? image : volume)
        }
    }

    private mutating func pick(_ names: some Collection<String>) -> String? {
        names.sorted().randomElement(using: &random)
    }

    private mutating func name(_ prefix: String) -> String {
        counter += 1
        return "\(prefix)\(counter)"
    }

    private mutating func addImage() -> Step {
        var bytes: [UInt8] = []
        for _ in 0..<8 + random.below(16) {
            bytes +=
                random.below(4) == 0 ? [UInt8](repeating: 0, count: Block.bytes) : random.bytes(Block.bytes)
        }
        return .addImage(name: name("i"), content: bytes)
    }

    private mutating func write(_ volume: String, _ size: Int, aligned: Bool) -> Step {
        let (offset, count) = range(size, unit: aligned ? Block.bytes : 1)
        return .write(volume: volume, offset: offset, bytes: random.bytes(count))
    }

    private mutating func range(_ size: Int, unit: Int) -> (offset: Int, count: Int) {
        let offset = random.below(size / unit) * unit
        let limit = min(size - offset, 5 * Block.bytes)
        return (offset, max(unit, (1 + random.below(max(1, limit / unit))) * unit))
    }
}
