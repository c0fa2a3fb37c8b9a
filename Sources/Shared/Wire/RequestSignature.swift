// Who asks, and who answers: one signature per request and one per answer, made and checked by the same functions.
//
// TLS may be absent (a plain line inside the school authority's network), ended by a proxy, or pinned to a key that is
// not the hub's; these signatures hold in every case, and a login page of the network cannot make one.

import Crypto
import Foundation

/// `Authorization: ZZ1 <site, hex> <Ed25519 signature, base64>`, over the method, the path with its query, the body.
package struct RequestSignature: Hashable, Sendable {
    package static let headerName = "Authorization"

    /// The site that claims to ask. Nothing is proved before `isValid`.
    package let site: SiteID
    package let signature: [UInt8]

    /// Signs a request. `target` is the path with its query, as it stands in the request line.
    package init(method: String, target: String, body: [UInt8], keys: SiteKeys) {
        site = keys.site
        signature = keys.sign(Self.signedBytes(method: method, target: target, body: body))
    }

    /// Reads the header's value; nil if it is not of this form.
    package init?(header: String) {
        let parts = header.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "ZZ1", let site = SiteID(String(parts[1])),
            let signature = Data(base64Encoded: String(parts[2])), signature.count == 64
        else { return nil }
        self.site = site
        self.signature = [UInt8](signature)
    }

    package var header: String { "ZZ1 \(site) \(Data(signature).base64EncodedString())" }

    /// Whether the holder of `signingKey` (raw, 32 bytes: the key on record for `site`) signed this request.
    ///
    /// - Parameter body: ignored, and may be empty, where `isBodyUnsigned`: a server can check before it reads.
    package func isValid(method: String, target: String, body: [UInt8], signingKey: [UInt8]) -> Bool {
        PublicKeys.isSignature(
            signature, of: Self.signedBytes(method: method, target: target, body: body), by: signingKey)
    }

    /// Segments are signed themselves, and a hub wants to know the sender before it spools a byte of them.
    package static func isBodyUnsigned(method: String, target: String) -> Bool {
        method == "PUT" && target.hasPrefix("/v1/segments/")
    }

    private static func signedBytes(method: String, target: String, body: [UInt8]) -> [UInt8] {
        let digest = isBodyUnsigned(method: method, target: target) ? "UNSIGNED" : sha256Hex(body)
        return [UInt8]("ZZ1\n\(method)\n\(target)\n\(digest)".utf8)
    }
}

/// `ZZ-Signature: <Ed25519 signature, base64>`, over the status, the path with its query, and the answer's body.
package enum ReplySignature {
    package static let headerName = "ZZ-Signature"

    /// The header's value for an answer to `target`.
    package static func header(status: Int, target: String, body: [UInt8], keys: SiteKeys) -> String {
        Data(keys.sign(signedBytes(status: status, target: target, body: body))).base64EncodedString()
    }

    /// Whether the holder of `signingKey` (raw, 32 bytes) gave this answer to this path.
    package static func isValid(
        header: String, status: Int, target: String, body: [UInt8], signingKey: [UInt8]
    ) -> Bool {
        guard let signature = Data(base64Encoded: header) else { return false }
        return PublicKeys.isSignature(
            [UInt8](signature), of: signedBytes(status: status, target: target, body: body), by: signingKey)
    }

    private static func signedBytes(status: Int, target: String, body: [UInt8]) -> [UInt8] {
        [UInt8]("ZZ1\n\(status)\n\(target)\n\(sha256Hex(body))".utf8)
    }
}

private func sha256Hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    let hex = SHA256.hash(data: bytes).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return String(decoding: hex, as: UTF8.self)
}
