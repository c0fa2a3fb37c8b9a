// What a client needs of a line: send one request, get one answer. libcurl is one home of it, a simulation another.

/// Carries requests to one hub.
package protocol Transport: Sendable {
    /// - Throws: `Failure(.noConnection)` when nothing usable came back: a retry is safe, every call of ours may be
    ///   repeated. `.refusedByPeer` when the other end is not the one that the invite named.
    func send(_ request: WireRequest) async throws(Failure) -> WireReply
}

package struct WireRequest: Hashable, Sendable {
    package enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
    }
    package var method: Method
    /// Path with query, from `/v1` on.
    package var target: String
    /// Name → value.
    package var headers: [String: String]
    package var body: [UInt8]
    /// Index of the first byte of `body` that is sent: a continued upload does not copy its segment.
    package var uploadOffset: Int

    package init(
        _ method: Method, _ target: String, headers: [String: String] = [:], body: [UInt8] = [], uploadOffset: Int = 0
    ) {
        precondition(0...body.count ~= uploadOffset, "an upload starts inside its body")
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.uploadOffset = uploadOffset
    }
}

package struct WireReply: Hashable, Sendable {
    package var status: Int
    /// Lower-case name → value; the last one of a name.
    package var headers: [String: String]
    package var body: [UInt8]
    package var traffic: Traffic

    package init(status: Int, headers: [String: String] = [:], body: [UInt8] = [], traffic: Traffic = Traffic()) {
        self.status = status
        self.headers = headers
        self.body = body
        self.traffic = traffic
    }
}

/// Bytes of HTTP on the line, with the headers; without TLS and TCP.
package struct Traffic: Hashable, Sendable {
    package var bytesSent: Int
    package var bytesReceived: Int

    package init(bytesSent: Int = 0, bytesReceived: Int = 0) {
        self.bytesSent = bytesSent
        self.bytesReceived = bytesReceived
    }
    package static func += (l: inout Self, r: Self) {
        l.bytesSent += r.bytesSent
        l.bytesReceived += r.bytesReceived
    }
}
