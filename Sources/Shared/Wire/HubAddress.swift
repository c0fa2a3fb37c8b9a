// Where a hub listens: the part of an invite that decides whether a line may be used at all.

import Foundation
import Glibc

/// `https://host[:port][/prefix]`, or http for loopback and where it was allowed.
package struct HubAddress: Hashable, Sendable, CustomStringConvertible {
    /// Without a slash at the end, so that a target (`/v1/hello`) can follow.
    package let url: String
    package let host: String
    /// Host and port as people say them; for sentences.
    package let label: String
    package let isEncrypted: Bool
    package var description: String { url }

    /// - Throws: `Failure(.usage)` for anything that is not the address of a hub.
    package init(_ text: String) throws(Failure) {
        let bare = String(text.reversed().drop { $0 == "/" }.reversed())
        guard let parts = URLComponents(string: bare), let scheme = parts.scheme?.lowercased(),
            scheme == "https" || scheme == "http", let host = parts.host, !host.isEmpty,
            parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil,
            parts.port.map({ 1...65535 ~= $0 }) ?? true
        else {
            throw Failure(
                .usage, "\"\(text)\" is not the address of a hub.",
                next: "It has the form https://host:port, without user name, ? and #.")
        }
        url = bare
        // URLComponents keeps the brackets of an IPv6 address in some versions and drops them in others.
        self.host = host.trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        label = parts.port.map { "\(host):\($0)" } ?? host
        isEncrypted = scheme == "https"
    }

    /// Whether the name can only mean this machine: no proxy, and plain HTTP is as safe as anything.
    package var isLoopback: Bool {
        if host.lowercased() == "localhost" { return true }
        var v4 = in_addr()
        if inet_pton(AF_INET, host, &v4) == 1 { return UInt32(bigEndian: v4.s_addr) >> 24 == 127 }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, host, &v6) == 1 else { return false }
        return withUnsafeBytes(of: v6) { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 }
    }

    /// - Throws: `Failure(.refused)` for plain HTTP over a network that nobody allowed.
    package func checkEncryption(allowInsecureHTTP: Bool) throws(Failure) {
        guard isEncrypted || isLoopback || allowInsecureHTTP else {
            throw Failure(
                .refused, "The hub's address \(url) is plain HTTP: everybody on the way could read the school's data.",
                next: "Use an https address, or an invite whose hub allowed plain HTTP.")
        }
    }
}
