// The keys of one site (one incarnation of a replica) and their file.
//
// Ed25519 signs segments, requests and answers; X25519 opens what is encrypted to this site (bundles). The site's id is
// made from the signing key, so that an id can be claimed by nobody else.

import Crypto
import Foundation

/// What others know of a site.
package struct PublicKeys: Hashable, Sendable {
    /// Raw Ed25519 and X25519 public keys, 32 bytes each.
    package let signing: [UInt8]
    package let agreement: [UInt8]

    /// Nil unless both are 32 bytes.
    package init?(signing: [UInt8], agreement: [UInt8]) {
        guard signing.count == 32, agreement.count == 32 else { return nil }
        self.signing = signing
        self.agreement = agreement
    }

    /// From base64, as they stand in invites and in `EnrolRequest`; nil unless both are 32 bytes.
    package init?(signingBase64: String, agreementBase64: String) {
        guard let signing = Data(base64Encoded: signingBase64), let agreement = Data(base64Encoded: agreementBase64)
        else { return nil }
        self.init(signing: [UInt8](signing), agreement: [UInt8](agreement))
    }

    package var signingBase64: String { Data(signing).base64EncodedString() }
    package var agreementBase64: String { Data(agreement).base64EncodedString() }

    package var site: SiteID { Self.site(ofSigningKey: signing) }

    /// The first 8 bytes, big-endian, of the SHA-256 of the raw signing key.
    package static func site(ofSigningKey key: [UInt8]) -> SiteID {
        SiteID(SHA256.hash(data: key).prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// Whether `signature` is that of `signingKey` (raw, 32 bytes) over `bytes`; false for what is not a key.
    package static func isSignature(_ signature: [UInt8], of bytes: [UInt8], by signingKey: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: signingKey) else { return false }
        return key.isValidSignature(signature, for: bytes)
    }
}

package struct SiteKeys: Sendable {
    package let signing: Curve25519.Signing.PrivateKey
    package let agreement: Curve25519.KeyAgreement.PrivateKey
    package let publicKeys: PublicKeys
    package var site: SiteID { publicKeys.site }

    /// The keys of a new site, from the system's randomness.
    package init() {
        self.init(signing: Curve25519.Signing.PrivateKey(), agreement: Curve25519.KeyAgreement.PrivateKey())
    }

    /// The keys that a seed gives: for simulations, which must play the same again.
    package init(seed: String) {
        func bytes(_ use: String) -> Data { Data(SHA256.hash(data: Data("\(use) of \(seed)".utf8))) }
        // Every 32 bytes are a key of either kind.
        self.init(
            signing: try! Curve25519.Signing.PrivateKey(rawRepresentation: bytes("signing")),
            agreement: try! Curve25519.KeyAgreement.PrivateKey(rawRepresentation: bytes("agreement")))
    }

    private init(signing: Curve25519.Signing.PrivateKey, agreement: Curve25519.KeyAgreement.PrivateKey) {
        self.signing = signing
        self.agreement = agreement
        publicKeys = PublicKeys(
            signing: [UInt8](signing.publicKey.rawRepresentation),
            agreement: [UInt8](agreement.publicKey.rawRepresentation))!
    }

    /// The Ed25519 signature over `bytes`, 64 bytes.
    package func sign(_ bytes: [UInt8]) -> [UInt8] {
        do {
            return [UInt8](try signing.signature(for: bytes))
        } catch {
            // Signing in memory has no reason to fail but a broken crypto library: going on unsigned would be worse.
            preconditionFailure("Ed25519 cannot sign: \(error)")
        }
    }
}

// MARK: the key file

extension SiteKeys {
    private struct File: Codable {
        var version: Int
        var site: String
        var signing: String
        var agreement: String
    }

    private static let fileVersion = 1
    /// A key file has some 200 bytes; more is another file.
    private static let fileBytesMax = 4096

    /// Writes the keys durably, readable by their owner alone. A file at `path` is replaced.
    package func save(to path: String) throws(Failure) {
        let file = File(
            version: Self.fileVersion, site: site.description,
            signing: signing.rawRepresentation.base64EncodedString(),
            agreement: agreement.rawRepresentation.base64EncodedString())
        try DurableFile.write(WireJSON.encode(file, pretty: true), to: path, mode: 0o600)
    }

    /// - Throws: `Failure(.damaged)` when the file is missing, unreadable or not the keys of the site it names.
    package static func load(from path: String) throws(Failure) -> SiteKeys {
        let bytes: [UInt8]?
        switch DurableFile.read(path, bytesMax: fileBytesMax) {
        case .success(let read): bytes = read
        case .failure(let reason): throw unusable(path, "cannot be read: \(reason)")
        }
        guard let bytes, let file = try? JSONDecoder().decode(File.self, from: Data(bytes)) else {
            throw unusable(path, "is not a key file")
        }
        guard file.version == fileVersion else {
            throw Failure(
                .refused, "The key file \(path) has version \(file.version), this program knows \(fileVersion).",
                next: "Use the newer zzsync that wrote it.")
        }
        guard let signing = Data(base64Encoded: file.signing), let agreement = Data(base64Encoded: file.agreement),
            let signingKey = try? Curve25519.Signing.PrivateKey(rawRepresentation: signing),
            let agreementKey = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: agreement)
        else { throw unusable(path, "holds no usable keys") }
        let keys = SiteKeys(signing: signingKey, agreement: agreementKey)
        guard keys.site.description == file.site else {
            throw unusable(path, "names site \(file.site), but its key belongs to site \(keys.site)")
        }
        return keys
    }

    private static func unusable(_ path: String, _ what: String) -> Failure {
        Failure(
            .damaged, "The key file \(path) \(what).",
            next: "Restore it from a backup, or join again with a new invite; entered data are kept.")
    }
}
