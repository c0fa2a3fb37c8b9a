// What the kill -9 tests and long runs share: counts, seed, a generator that repeats.

import Dispatch
import Foundation
import Glibc

/// How much a run does: ZZSYNC_COUNTS=long means the full counts, ZZSYNC_SEED names the seed.
enum KillCounts {
    static var isLong: Bool { ProcessInfo.processInfo.environment["ZZSYNC_COUNTS"] == "long" }
    static var seed: UInt64 { ProcessInfo.processInfo.environment["ZZSYNC_SEED"].flatMap { UInt64($0) } ?? 1 }
}

struct KillTrouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension Ended {
    var wasKilled: Bool { code == 128 + SIGKILL }
    var words: String { "\(code == 0 ? "" : "exit \(code): ")\(command): \(err)\(out.suffix(400))" }
}

enum TestFiles {
    /// The folder Tests of the repository.
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
}

/// SplitMix64: the same seed gives the same run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

/// A queue of its own for a test that mostly waits for processes: the pool's few threads belong to the tests that compute.
final class OwnQueue: TaskExecutor {
    private let queue = DispatchQueue(label: "test")
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
