// A TCP server of a few lines: it answers what a test wrote for it, right or wrong.

import Foundation
import Glibc
import Synchronization
import Testing

/// A socket bound to a free loopback port.
final class LoopbackSocket: Sendable {
    let handle: Int32
    let port: UInt16

    init() throws {
        handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let handle = handle
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(handle, $0, size) == 0 && getsockname(handle, $0, &size) == 0
            }
        }
        try #require(isBound)
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(handle) }
}

/// One request as it came in.
struct RawRequest {
    var line = ""
    var headers: [String: String] = [:]
    var body: [UInt8] = []
    var bytes: [UInt8] = []
    var target: String { String(line.split(separator: " ").dropFirst().first ?? "") }
}

/// Runs `script` on a thread of its own for each connection; the connection is closed when the script returns.
final class ScriptedServer: Sendable {
    private let listener: LoopbackSocket
    private let seen = Mutex<(requests: [RawRequest], connections: Int)>(([], 0))
    var port: UInt16 { listener.port }
    var requests: [RawRequest] { seen.withLock { $0.requests } }
    var connectionCount: Int { seen.withLock { $0.connections } }

    init(_ script: @escaping @Sendable (ScriptedConnection) -> Void) throws {
        let listener = try LoopbackSocket()
        self.listener = listener
        try #require(listen(listener.handle, 64) == 0)
        // Listens until the process ends: tied to the test's last mention of it, it would go before the client comes.
        Thread.detachNewThread { [self] in
            while true {
                let handle = accept(listener.handle, nil, nil)
                guard handle >= 0 else { return }
                let connection = ScriptedConnection(handle) { [self] request in
                    seen.withLock { $0.requests.append(request) }
                }
                seen.withLock { $0.connections += 1 }
                Thread.detachNewThread {
                    script(connection)
                    connection.end()
                }
            }
        }
    }
}

/// `@unchecked Sendable`: used by the one thread that runs its script.
final class ScriptedConnection: @unchecked Sendable {
    private let handle: Int32
    private let note: (RawRequest) -> Void
    private var buffer: [UInt8] = []

    init(_ handle: Int32, note: @escaping (RawRequest) -> Void) {
        self.handle = handle
        self.note = note
    }

    /// The request line and headers; nil when the client has gone.
    func readHead() -> RawRequest? {
        let request = parseHead()
        if let request { note(request) }
        return request
    }

    /// A whole request; nil when the client has gone.
    func readRequest() -> RawRequest? {
        guard var request = parseHead() else { return nil }
        request.body = read(Int(request.headers["content-length"] ?? "") ?? 0)
        request.bytes += request.body
        note(request)
        return request
    }

    private func parseHead() -> RawRequest? {
        var end: Range<Int>?
        while end == nil {
            end = buffer.firstRange(of: Array("\r\n\r\n".utf8))
            if end == nil, !fill() { return nil }
        }
        var request = RawRequest()
        request.bytes = Array(buffer[..<end!.upperBound])
        buffer.removeFirst(end!.upperBound)
        let lines = String(decoding: request.bytes, as: UTF8.self).split(separator: "\r\n")
        request.line = String(lines[0])
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            request.headers[parts[0].lowercased()] = parts.last?.trimmingCharacters(in: .whitespaces)
        }
        return request
    }

    /// Up to `count` bytes: fewer when the client has gone.
    func read(_ count: Int) -> [UInt8] {
        while buffer.count < count, fill() {}
        let taken = Array(buffer.prefix(count))
        buffer.removeFirst(taken.count)
        return taken
    }

    /// False when the client has gone.
    @discardableResult func send(_ bytes: [UInt8]) -> Bool {
        var at = 0
        while at < bytes.count {
            let sent = bytes.withUnsafeBytes {
                Glibc.send(handle, $0.baseAddress! + at, $0.count - at, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return false }
            at += sent
        }
        return true
    }

    @discardableResult func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    func waitForClose() { while fill() {} }

    func end() { close(handle) }

    private func fill() -> Bool {
        var room = [UInt8](repeating: 0, count: 65536)
        let count = recv(handle, &room, room.count, 0)
        guard count > 0 else { return false }
        buffer += room[..<count]
        return true
    }
}
