// SPDX-License-Identifier: Apache-2.0

public import Base
public import ChunkStore
public import Flatten
public import OCI
public import Volumes

/// Why an image could not be pushed or pulled; each text says what to do.
public enum DistributionError: Error, Sendable, CustomStringConvertible {
    /// The text is not a reference, or one of a kind that cannot be used here.
    case badReference(String, reason: String)
    /// There is no image of that name.
    case notFound(String)
    /// The policy does not allow that block images of this place are mounted.
    case untrusted(String, origin: String)
    /// There is an image, but neither a block image nor one that can be made into one.
    case notAnImage(String, reason: String)
    /// What the other side sent breaks the format or does not match its digest.
    case badArtifact(String, reason: String)
    /// The place can be read but not written.
    case readOnlyPlace(String)
    /// Chunks of the image are neither here nor can they be fetched.
    case unreachableChunks(String, count: Int, reason: String)
    /// The other side or the way to it failed.
    case remote(String, reason: String)
    case registry(OCIError)
    case chunks(ChunkStoreError)
    case volumes(VolumeError)
    case flatten(FlattenError)
    case system(SystemError)
    /// An export that cannot be made as it was asked for.
    case badExport(String, reason: String)
    /// A program that this machine has not; the text says which and how to get it.
    case unavailable(String)
    /// The caller wanted it to stop.
    case cancelled

    public var description: String {
        switch self {
        case .badReference(let text, let reason): "\(printable(text)): not a reference: \(reason)"
        case .notFound(let reference):
            "\(printable(reference)): there is no such image; check the name and the tag"
        case .untrusted(let reference, let origin):
            "\(printable(reference)): block images of \(printable(origin)) are not trusted, since the kernel "
                + "would read a file system that others made; add its registry to the trusted ones in the "
                + "configuration, or pull an ordinary image"
        case .notAnImage(let reference, let reason): "\(printable(reference)): \(printable(reason))"
        case .badArtifact(let reference, let reason):
            "\(printable(reference)): the block image is invalid: \(printable(reason)); push it again"
        case .readOnlyPlace(let place):
            "\(printable(place)): images can be pulled from here but not pushed; "
                + "push to a registry, s3:// or dir:"
        case .unreachableChunks(let image, let count, let reason):
            "\(printable(image)): \(count) of its chunks are not here and cannot be fetched: "
                + "\(printable(reason))"
        case .remote(let name, let reason): "\(printable(name)): \(printable(reason))"
        case .registry(let error): error.description
        case .chunks(let error): error.description
        case .volumes(let error): error.description
        case .flatten(let error): error.description
        case .system(let error): error.description
        case .badExport(let target, let reason): "\(printable(target)): \(printable(reason))"
        case .unavailable(let text): text
        case .cancelled: "cancelled"
        }
    }
}
