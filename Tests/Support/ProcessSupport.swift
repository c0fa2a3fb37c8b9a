// Real processes for the tests: the built zzsync, the sqlite3 program, openssl. Nothing here blocks Swift's cooperative pool,
// and every process ends with the object that started it.
//
// By posix_spawn and not by Foundation's Process: that looks for open files by copying whole directory entries out of readdir's buffer,
// reads past its end, and now and then, when that is the end of the heap, takes the whole test run with it.

import Foundation
import Glibc
import Synchronization
import Testing

/// What a process that has ended left behind.
struct Ended: Sendable {
    let command: String
    /// The exit code; 128 + n for signal n.
    let code: Int32
    let out: String
    let err: String

    /// Asserts the exit code, and that the words stand somewhere in what was printed.
    @discardableResult
    func expect(_ code: Int32, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation) -> Ended {
        #expect(self.code == code, "\(command)\n\(out.prefix(2_000))\(err.prefix(4_000))", sourceLocation: sourceLocation)
        for word in words {
            #expect(
                (out + err).contains(word), "\(command) said:\n\(out.prefix(2_000))\(err.prefix(4_000))",
                sourceLocation: sourceLocation)
        }
        // No failure may look like a bug, whatever its exit code.
        for word in ["Report this as a bug", "Fatal error", "Optional(", "DatabaseError"] {
            #expect(!(out + err).contains(word), "\(command) said:\n\(err)", sourceLocation: sourceLocation)
        }
        return self
    }

    /// Standard output as one JSON document.
    func json(sourceLocation: SourceLocation = #_sourceLocation) throws -> [String: Any] {
        try #require(
            try? JSONSerialization.jsonObject(with: Data(out.utf8)) as? [String: Any], "\(command) printed:\n\(out)\(err)",
            sourceLocation: sourceLocation)
    }
}

/// A process under way. Its two pipes are read by threads of their own, a third waits for its end.
final class Child: Sendable {
    let pid: pid_t
    private let core: Core

    /// - Parameter secondsMax: it is killed then: a test that hangs says less than one that fails.
    init(
        _ program: String, _ words: [String], environment: [String: String] = [:], secondsMax: Int = 180
    ) throws {
        // Socket pairs, for they can be born close-on-exec: a pipe that another child inherits meanwhile never ends.
        var (out, err): ([Int32], [Int32]) = ([0, 0], [0, 0])
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let isMade = socketpair(AF_UNIX, kind, 0, &out) == 0 && socketpair(AF_UNIX, kind, 0, &err) == 0
        try #require(isMade)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out[1], 1)
        posix_spawn_file_actions_adddup2(&actions, err[1], 2)
        var merged = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("ZZSYNC_") }
        merged["SWIFT_BACKTRACE"] = "enable=no"
        merged.merge(environment) { _, new in new }
        let argv = ([program] + words).map { strdup($0) } + [nil]
        let envp = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            posix_spawn_file_actions_destroy(&actions)
            for text in argv + envp { free(text) }
            close(out[1])
            close(err[1])
        }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, program, &actions, nil, argv, envp)
        try #require(result == 0, "\(program): \(String(cString: strerror(result)))")
        self.pid = pid
        core = Core(pid, "\((program as NSString).lastPathComponent) \(words.joined(separator: " "))")
        core.watch(out: out[0], err: err[0], secondsMax: secondsMax)
    }

    deinit { core.signal(SIGKILL) }

    func signal(_ number: Int32) { core.signal(number) }

    /// Waits for its end.
    func ended() async -> Ended { await core.until { $0.ended }! }

    /// `body` is told on some thread.
    func whenEnded(_ body: @escaping @Sendable (Ended) -> Void) {
        core.look { state in
            if let ended = state.ended { body(ended) }
            return state.ended != nil
        }
    }

    /// Waits for a line of standard output with this beginning, and returns the rest of it.
    func line(_ beginning: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let found = await lineIfAny(beginning)
        let error = found == nil ? await ended().err : ""
        return try #require(found, "no line \"\(beginning)\": \(error)", sourceLocation: sourceLocation)
    }

    /// The same; nil when it ended without such a line.
    func lineIfAny(_ beginning: String) async -> String? {
        await core.until { state in
            String(decoding: state.out, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix(beginning) }
                .map { String($0.dropFirst(beginning.count)) }
        }
    }

    /// SIGTERM, and SIGKILL if that was not enough.
    @discardableResult func stop() async -> Ended {
        signal(SIGTERM)
        return await ended()
    }

    /// `@unchecked Sendable` is not needed: all that changes stands behind the lock.
    private final class Core: Sendable {
        struct State {
            var out: [UInt8] = []
            var err: [UInt8] = []
            var open = 2
            var code: Int32?
            var ended: Ended?
            var waiting: [@Sendable (State) -> Bool] = []
        }
        private let pid: pid_t
        private let command: String
        private let state = Mutex(State())

        init(_ pid: pid_t, _ command: String) {
            self.pid = pid
            self.command = command
        }

        func watch(out: Int32, err: Int32, secondsMax: Int) {
            Thread.detachNewThread { [self] in read(out) { $0.out += $1 } }
            Thread.detachNewThread { [self] in read(err) { $0.err += $1 } }
            Thread.detachNewThread { [self] in
                var info = siginfo_t()
                while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) < 0, errno == EINTR {}
                change { state in
                    var status: Int32 = 0
                    waitpid(pid, &status, 0)      // under the lock: no signal meets another process of this pid
                    state.code = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
                }
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(secondsMax)) { [weak self] in self?.signal(SIGKILL) }
        }

        private func read(_ file: Int32, _ take: (inout State, ArraySlice<UInt8>) -> Void) {
            var room = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = Glibc.read(file, &room, room.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                change { take(&$0, room[..<count]) }
            }
            close(file)
            change { $0.open -= 1 }
        }

        private func change(_ body: (inout sending State) -> Void) {
            state.withLock { state in
                body(&state)
                if let code = state.code, state.open == 0, state.ended == nil {
                    state.ended = Ended(
                        command: command, code: code, out: String(decoding: state.out, as: UTF8.self),
                        err: String(decoding: state.err, as: UTF8.self))
                }
                let now = state
                state.waiting.removeAll { $0(now) }
            }
        }

        /// The first value that `test` finds; nil when the process ended without one.
        func until<T: Sendable>(_ test: @escaping @Sendable (State) -> T?) async -> T? {
            await withCheckedContinuation { (continuation: CheckedContinuation<T?, Never>) in
                let look: @Sendable (State) -> Bool = { state in
                    let found = test(state)
                    guard found != nil || state.ended != nil else { return false }
                    continuation.resume(returning: found)
                    return true
                }
                self.look(look)
            }
        }

        /// Shows the state now and after each change, until `body` has seen enough.
        func look(_ body: @escaping @Sendable (State) -> Bool) {
            state.withLock { state in
                if !body(state) { state.waiting.append(body) }
            }
        }

        func signal(_ number: Int32) {
            state.withLock { if $0.code == nil { kill(pid, number) } }
        }
    }
}

enum Programs {
    /// The test runner lies beside the executables.
    static let zzsync = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appendingPathComponent("zzsync").path
    static let sqlite3 = "/usr/bin/sqlite3"
    static let openssl = "/usr/bin/openssl"
    /// Debian's own: the one that has openpyxl.
    static let python = "/usr/bin/python3"

    static func run(
        _ program: String, _ words: [String], environment: [String: String] = [:]
    ) async throws -> Ended {
        try await Child(program, words, environment: environment).ended()
    }

    /// The same for threads of one's own: it blocks the caller.
    static func wait(_ program: String, _ words: [String], secondsMax: Int) throws -> Ended {
        let child = try Child(program, words, secondsMax: secondsMax)
        let done = DispatchSemaphore(value: 0)
        let result = Mutex<Ended?>(nil)
        child.whenEnded { ended in
            result.withLock { $0 = ended }
            done.signal()
        }
        done.wait()
        return result.withLock { $0! }
    }
}
