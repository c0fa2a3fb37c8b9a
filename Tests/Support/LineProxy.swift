// A line between a child and its hub that a test can make bad: cut it after so many bytes, slow it down, spoil a byte.

import Foundation
import Glibc
import Synchronization
import Testing

final class LineProxy: Sendable {
    struct Fault: Sendable {
        /// The line is cut after so many bytes in this direction; counted over all connections since the fault was set.
        var bytesUpMax = Int.max
        var bytesDownMax = Int.max
        /// Bytes passed at a time, with a pause of 5 ms after each piece.
        var pieceBytes = 0
        /// The last byte of each answer is changed.
        var spoilsAnswers = false
    }
    private struct State {
        var fault = Fault()
        var up = 0
        var down = 0
    }
    private let target: UInt16
    private let listener: LoopbackSocket
    private let state = Mutex(State())

    var url: String { "http://127.0.0.1:\(listener.port)" }
    var passed: (up: Int, down: Int) { state.withLock { ($0.up, $0.down) } }

    init(to port: UInt16) throws {
        target = port
        listener = try LoopbackSocket()
        try #require(listen(listener.handle, 64) == 0)
        Thread.detachNewThread { [self] in
            while true {
                let near = accept(listener.handle, nil, nil)
                guard near >= 0 else { return }
                guard let far = connectToTarget() else {
                    close(near)
                    continue
                }
                let ends = Mutex(2)
                for (from, to, isUp) in [(near, far, true), (far, near, false)] {
                    Thread.detachNewThread { [self] in
                        pump(from, to, isUp: isUp)
                        shutdown(near, Int32(SHUT_RDWR))
                        shutdown(far, Int32(SHUT_RDWR))
                        let isLast = ends.withLock { left in
                            left -= 1
                            return left == 0
                        }
                        if isLast {
                            close(near)
                            close(far)
                        }
                    }
                }
            }
        }
    }

    func set(_ fault: Fault) { state.withLock { $0 = State(fault: fault) } }

    private func connectToTarget() -> Int32? {
        let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = target.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(handle, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if isConnected { return handle }
        close(handle)
        return nil
    }

    private func pump(_ from: Int32, _ to: Int32, isUp: Bool) {
        var room = [UInt8](repeating: 0, count: 65_536)
        while true {
            let fault = state.withLock { $0.fault }
            let piece = fault.pieceBytes > 0 ? fault.pieceBytes : room.count
            let count = recv(from, &room, piece, 0)
            guard count > 0 else { return }
            if fault.pieceBytes > 0 { usleep(5_000) }
            // An answer of ours comes in one piece or ends with one: its last byte is the body's.
            if fault.spoilsAnswers, !isUp { room[count - 1] ^= 0x20 }
            let allowed = state.withLock { state in
                let limit = isUp ? state.fault.bytesUpMax - state.up : state.fault.bytesDownMax - state.down
                let allowed = max(0, min(count, limit))
                if isUp { state.up += allowed } else { state.down += allowed }
                return allowed
            }
            var done = 0
            while done < allowed {
                let sent = send(to, Array(room[done..<allowed]), allowed - done, Int32(MSG_NOSIGNAL))
                guard sent > 0 else { return }
                done += sent
            }
            if allowed < count { return }
        }
    }
}
