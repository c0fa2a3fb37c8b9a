// The end of a process, at any step, inside the process that plays the whole country.
//
// Two designs: an error thrown through the code at the kill point (the code tidies up on its way out: `defer` runs, spool files
// are removed, a killed process does none of that), or a copy of the files as they are at that moment, from which the replica is
// opened again while the running objects are left to finish on files that nobody reads any more. The second: it is what a
// `kill -9` leaves. What was fsynced is in the copy. What was not must not be relied upon: an open transaction's frames have no
// commit in the log, and the tail of an upload that was not fsynced is cut at a random place.

import Foundation
import Glibc
import Shared
import Synchronization

/// Watches one process of one replica; when it blows, that process is dead, whatever its objects still do.
final class Fuse: Sendable {
    private struct State {
        var armed: (point: String, count: Int)?
        var blownAt: String?
        /// Why the successor's files are not what was on disk.
        var flaw: String?
        var dice: Dice
        /// How much of the upload in hand was fsynced by an earlier call.
        var partSynced = 0
    }

    let directory: String
    /// Where the files of its successor lie after it has blown.
    let heir: String
    private let state: Mutex<State>

    init(directory: String, heir: String, seed: UInt64) {
        (self.directory, self.heir) = (directory, heir)
        state = Mutex(State(dice: Dice(seed: seed)))
        KillPoint.watch(directory) { [weak self] in self?.reach($0) }
    }

    deinit { KillPoint.watch(directory, nil) }

    /// The point at which it blew; nil while the process lives.
    var blownAt: String? { state.withLock { $0.blownAt } }
    var isBlown: Bool { blownAt != nil }
    /// A file that could not be copied: what is opened next would not be what the process left, and the run shows nothing.
    var flaw: String? { state.withLock { $0.flaw } }

    /// - Parameter count: how often the point is reached before it blows.
    func arm(_ point: String, count: Int) { state.withLock { $0.armed = (point, count) } }

    func disarm() { state.withLock { $0.armed = nil } }

    func uploadGoesOn(at offset: Int) { state.withLock { $0.partSynced = offset } }

    private func reach(_ point: String) {
        let blows = state.withLock { state in
            guard state.blownAt == nil, let armed = state.armed, armed.point == point else { return false }
            state.armed = armed.count > 1 ? (point, armed.count - 1) : nil
            return armed.count <= 1
        }
        if blows { blow(at: point) }
    }

    /// Ends the process now.
    func blow(at point: String) {
        let (cut, synced) = state.withLock { state in
            state.blownAt = point
            return (state.dice.next(), state.partSynced)
        }
        for path in FileManager.default.subpaths(atPath: directory) ?? [] where !Self.isOfTheProcess(path) {
            do {
                let size = try leave(path)
                // Only here bytes lie in a file that no fsync has promised.
                if let size, point == "push.part", path.hasSuffix(".part"), size > synced {
                    truncate("\(heir)/\(path)", off_t(synced + Int(cut % UInt64(size - synced + 1))))
                }
            } catch {
                state.withLock { $0.flaw = "\(directory)/\(path) cannot be copied to \(heir): \(error)" }
            }
        }
    }

    /// Leaves one file to the successor.
    ///
    /// - Returns: its size; nil for what is no file.
    private func leave(_ path: String) throws -> Int? {
        let (from, to) = ("\(directory)/\(path)", "\(heir)/\(path)")
        var status = stat()
        guard lstat(from, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        let files = FileManager.default
        try files.createDirectory(atPath: (to as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try files.copyItem(atPath: from, toPath: to)
        return Int(status.st_size)
    }

    /// Locks and shared memory end with their process.
    private static func isOfTheProcess(_ path: String) -> Bool { path.hasSuffix("-shm") || path.hasSuffix(".lock") }
}
