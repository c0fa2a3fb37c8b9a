// What can go wrong on a line, and the sentence for each: pure, so that they can be read and tested in one place.

package enum TransportProblem: Error, Hashable {
    case unknownHost
    case unknownProxy
    case refused
    case noRoute
    case connectTimeout(milliseconds: Int)
    case tooSlow(bytesPerSecond: Int, seconds: Int)
    /// The line broke after `sent` and `received` bytes.
    case cut(sent: Int, received: Int)
    case tls(detail: String)
    case wrongPin
    case untrustedCertificate(detail: String)
    case replyTooLarge(bytesMax: Int)
    /// Bytes came back that are not HTTP.
    case notHTTP
    case cancelled
    /// libcurl was given something it cannot use: an authority file that is not there, a proxy it does not know.
    case setting(detail: String)
    case other(detail: String)

    /// - Parameter hub: host and port, as the sentence shall name them.
    package func failure(hub: String) -> Failure {
        switch self {
        case .unknownHost, .unknownProxy, .refused, .noRoute, .connectTimeout, .cancelled: noContact(hub)
        case .tooSlow, .cut, .tls, .notHTTP, .other: broken(hub)
        case .wrongPin, .untrustedCertificate, .replyTooLarge, .setting: distrusted(hub)
        }
    }

    private static let later = "Nothing is lost; sync again later, it goes on where it stopped."

    private func noContact(_ hub: String) -> Failure {
        switch self {
        case .unknownHost:
            Failure(
                .noConnection, "The name of the hub \(hub) cannot be looked up (DNS).",
                next: "Check the network cable and the DNS server; nothing is lost, sync again later.")
        case .unknownProxy:
            Failure(
                .noConnection, "The proxy on the way to the hub \(hub) cannot be looked up (DNS).",
                next: "Check http_proxy and https_proxy in the environment; nothing is lost.")
        case .refused:
            Failure(
                .noConnection, "The hub \(hub) refused the connection.",
                next: "The machine is there, the hub's service is not: try later, or ask its operator.")
        case .noRoute:
            Failure(
                .noConnection, "There is no way to the hub \(hub): the network cannot be reached.",
                next: "Check the network cable and the router; nothing is lost, sync again later.")
        case .connectTimeout(let milliseconds):
            Failure(
                .noConnection, "The hub \(hub) did not answer the connection within \(milliseconds) ms.",
                next: "Check the network; nothing is lost, sync again later.")
        default:
            Failure(.noConnection, "The transfer with the hub \(hub) was cancelled.", next: Self.later)
        }
    }

    private func broken(_ hub: String) -> Failure {
        switch self {
        case .tooSlow(let bytesPerSecond, let seconds):
            Failure(
                .noConnection,
                "The line to the hub \(hub) stood still: below \(bytesPerSecond) bytes a second for \(seconds) s.",
                next: Self.later)
        case .cut(let sent, let received):
            Failure(
                .noConnection,
                "The line to the hub \(hub) broke after \(sent) bytes sent and \(received) bytes received.",
                next: Self.later)
        case .tls(let detail):
            Failure(
                .noConnection, "No encrypted connection to the hub \(hub): \(detail).",
                next: "Check that the address is the hub's https port; nothing is lost.")
        case .notHTTP:
            Failure(
                .noConnection, "The answer is not from a zzsync hub: what \(hub) sent is not HTTP.",
                next: "Check the hub's address and port; nothing is lost.")
        case .other(let detail):
            Failure(.noConnection, "The transfer with the hub \(hub) failed: \(detail).", next: Self.later)
        default:
            preconditionFailure("failure(hub:) sends each problem to the group that has its sentence")
        }
    }

    private func distrusted(_ hub: String) -> Failure {
        switch self {
        case .wrongPin:
            Failure(
                .refusedByPeer,
                "The machine that answers as hub \(hub) shows another certificate key than the invite named.",
                next: "Somebody may stand between, or the hub's certificate was replaced: ask its operator.")
        case .untrustedCertificate(let detail):
            Failure(
                .refusedByPeer, "The certificate of the hub \(hub) is not trusted: \(detail).",
                next: "Check this machine's clock first, then ask the hub's operator.")
        case .replyTooLarge(let bytesMax):
            Failure(
                .refusedByPeer, "The answer of \(hub) is larger than \(bytesMax) bytes and was not read.",
                next: "Check the hub's address; if it is right, report this to the hub's operator.")
        case .setting(let detail):
            Failure(
                .refused, "The line to the hub \(hub) is set up wrongly here: \(detail).",
                next: "Check the certificate authority file and the proxy in the environment.")
        default:
            preconditionFailure("failure(hub:) sends each problem to the group that has its sentence")
        }
    }
}
