// Real processes that may be killed at any moment: started by posix_spawn, reaped by a thread, never killed by a stale pid.

import Foundation
import Glibc
import Synchronization

/// How much a run does: ZZSYNC_COUNTS=long means the full counts, ZZSYNC_SEED names the seed.
enum KillCounts {
    static var isLong: Bool { ProcessInfo.processInfo.environment["ZZSYNC_COUNTS"] == "long" }
    static var seed: UInt64 { ProcessInfo.processInfo.environment["ZZSYNC_SEED"].flatMap { UInt64($0) } ?? 1 }
}

/// The repository's files and the binary under test, which lies beside the tests' own.
enum KillPaths {
    static let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
    static let binary =
        URL(filePath: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/")
        .deletingLastPathComponent().appending(path: "zzsync").path
    static let python = "/usr/bin/python3"
}

struct KillTrouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// How a process ended.
struct Ending: Sendable {
    /// The exit status; nil when a signal ended it.
    let status: Int32?
    let signal: Int32?
    let out: String
    let err: String
    let seconds: Double
    var wasKilled: Bool { signal == SIGKILL }
    var words: String { "\(signal.map { "signal \($0)" } ?? "exit \(status ?? -1)"): \(err)\(out.suffix(400))" }
}

/// One running process. Output goes to files, so that no pipe can fill up.
final class ChildProcess: Sendable {
    let pid: pid_t
    private let outPath: String
    private let errPath: String
    private let began = ContinuousClock.now
    /// The status as `waitpid` gave it, once it was reaped.
    private let reaped = Mutex<Int32?>(nil)
    private let wait: Task<Void, Never>

    /// - Parameter files: where its output goes: `files`.out and `files`.err.
    init(_ words: [String], environment: [String: String] = [:], files: String) throws {
        outPath = files + ".out"
        errPath = files + ".err"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var all = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("ZZSYNC_") }
        all.merge(environment) { _, new in new }
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = all.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var pid = pid_t()
        let code = posix_spawn(&pid, words[0], &actions, nil, &arguments, &variables)
        guard code == 0 else { throw KillTrouble("\(words[0]) cannot be started: \(String(cString: strerror(code)))") }
        self.pid = pid
        let child = pid
        // Reaping happens under the lock: until then the pid is this child's alone.
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        wait = Task { for await _ in ended {} }
        Thread.detachNewThread {
            var information = siginfo_t()
            while waitid(P_PID, id_t(child), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
            end.finish()
        }
    }

    /// Sends a signal, unless the process was waited for.
    func send(_ signal: Int32) {
        reaped.withLock { if $0 == nil { _ = Glibc.kill(pid, signal) } }
    }

    func ending() async -> Ending {
        await wait.value
        let status = reaped.withLock { status in
            if status == nil {
                var found: Int32 = 0
                while waitpid(pid, &found, 0) < 0, errno == EINTR {}
                status = found
            }
            return status!
        }
        let elapsed = ContinuousClock.now - began
        let signal = status & 0x7F
        return Ending(
            status: signal == 0 ? status >> 8 & 0xFF : nil, signal: signal == 0 ? nil : signal, out: Self.text(outPath),
            err: Self.text(errPath),
            seconds: Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18)
    }

    /// The first line of its output that begins with `prefix`; nil when it ends, or 20 seconds pass, without one.
    func line(beginning prefix: String) async -> String? {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            let isOver = hasEnded
            let lines = Self.text(outPath).split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            if let line = lines.first(where: { $0.hasPrefix(prefix) }) { return String(line) }
            if isOver { return nil }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return nil
    }

    /// Whether it is a zombie or gone.
    var hasEnded: Bool {
        reaped.withLock { status in
            if status != nil { return true }
            var information = siginfo_t()
            return waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT | WNOHANG) == 0 && information.si_signo == SIGCHLD
        }
    }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
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
