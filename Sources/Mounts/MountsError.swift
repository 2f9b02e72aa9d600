// SPDX-License-Identifier: Apache-2.0

public import Base

/// What can go wrong around loop devices, mounts and runtime bundles.
public enum MountsError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A system call failed for a reason that has no case of its own.
    case system(SystemError)
    /// Every loop device is taken and the kernel gave no new one.
    case noFreeLoopDevice(tries: Int)
    /// The loop driver fell back to buffered I/O, which is ten times slower on FUSE.
    case noDirectIO(device: String, file: String)
    /// The kernel does not find a file system that it can mount.
    case notExt4(image: String)
    /// Something is mounted on the directory already.
    case alreadyMounted(directory: String, source: String)
    /// Nothing is mounted on the directory.
    case notMounted(directory: String)
    /// The file system is in use.
    case busy(directory: String, holder: String?)
    /// A freeze was lifted by its guard, so what was done under it may be torn.
    case freezeExpired(directory: String, seconds: Double)
    /// The image's user, or a user given by flag, is unknown in the image.
    case unknownUser(String)
    /// The image's group, or a group given by flag, is unknown in the image.
    case unknownGroup(String)
    /// A value that cannot go into a bundle.
    case invalid(what: String, value: String, reason: String)
    /// Neither the image nor the command line names a program.
    case noCommand
    /// The program that the container is to run is not in the image; with the PATH that was searched.
    case commandNotFound(String, path: String?)
    /// It is there, but is a directory or has no permission to be run.
    case commandNotExecutable(String)
    /// No OCI runtime is installed.
    case noRuntime(searched: String)

    public var description: String {
        switch self {
        case .system(let error): error.description
        case .noFreeLoopDevice(let tries):
            "loop device: none is free after \(tries) tries: detach unused ones (losetup -a lists them)"
        case .noDirectIO(let device, let file):
            "\(device): \(file) does not allow direct i/o: the file system below it is not supported"
        case .notExt4(let image): "\(image): not an ext4 file system that this kernel can mount"
        case .alreadyMounted(let directory, let source):
            "\(directory): \(source) is mounted there already: unmount it or take another directory"
        case .notMounted(let directory): "\(directory): nothing is mounted there"
        case .busy(let directory, let holder):
            "\(directory): in use" + (holder.map { " by \($0)" } ?? "") + ": end that first or unmount lazily"
        case .freezeExpired(let directory, let seconds):
            "\(directory): the freeze was lifted after \(seconds) s because the work under it did not end"
        case .unknownUser(let name): "user \(name): not in /etc/passwd of the image: give a number"
        case .unknownGroup(let name): "group \(name): not in /etc/group of the image: give a number"
        case .invalid(let what, let value, let reason): "\(what) \(value): \(reason)"
        case .noCommand: "the image names no program to run: give a command"
        case .commandNotFound(let name, let path?):
            "\(name): not found in the image, where PATH is \(path): check the spelling or give a path"
        case .commandNotFound(let name, nil): "\(name): not found in the image: check the path"
        case .commandNotExecutable(let name): "\(name): not a program that may be run: check its permissions"
        case .noRuntime(let searched):
            "no oci runtime: neither runc nor crun is in \(searched): install one (apt-get install runc)"
        }
    }

    /// Runs a call that throws system errors and gives those this module's type.
    static func wrapping<T: ~Copyable>(_ body: () throws(SystemError) -> T) throws(MountsError) -> T {
        do throws(SystemError) { return try body() } catch { throw .system(error) }
    }

    /// The error that the call which has just failed on this thread left behind.
    @inline(never)
    static func last(_ call: String, _ subject: String) -> MountsError {
        .system(SystemError.last(call, subject))
    }
}
