// A hub's signed statement that it has enrolled a site. The site keeps it beside its database and shows it to a hub that was put back
// from a backup of before, and so knows nothing of it any more.
//
// It is no secret: whoever shows it signs with the key that stands in it.

import Foundation

package struct Enrolment: Codable, Hashable, Sendable {
    /// The hub that enrolled, and its epoch then: one that is put back to a time before this was not beyond it.
    package var hub: String
    package var epoch: Int
    /// The site's public keys, base64.
    package var signingKey: String
    package var agreementKey: String
    /// What the hub's operator reads in its list.
    package var label: String
    /// Of a node; nil for a hub, whose schools introduce themselves.
    package var scope: String?
    package var school: SchoolInfo?
    /// SHA-256 of the invite's token, base64: a hub that has forgotten who used it shall not take it again.
    package var invite: String
    /// Seconds since 1970, by the hub's clock.
    package var enrolledAt: Int64

    package init(
        hub: SiteID, epoch: Int, keys: PublicKeys, label: String, scope: ScopeID?, school: SchoolInfo?, invite: Data, enrolledAt: Int64
    ) {
        self.hub = hub.description
        self.epoch = epoch
        signingKey = keys.signingBase64
        agreementKey = keys.agreementBase64
        self.label = label
        self.scope = scope?.description
        self.school = school
        self.invite = invite.base64EncodedString()
        self.enrolledAt = enrolledAt
    }

    package var keys: PublicKeys? { PublicKeys(signingBase64: signingKey, agreementBase64: agreementKey) }

    package func signed(by keys: SiteKeys) -> SignedEnrolment {
        let text = String(decoding: WireJSON.encode(self), as: UTF8.self)
        return SignedEnrolment(statement: text, signature: Data(keys.sign(SignedEnrolment.signedBytes(text))).base64EncodedString())
    }
}

/// The very text that was signed: a program of another year may write the same document with other fields.
package struct SignedEnrolment: Codable, Hashable, Sendable {
    /// An `Enrolment` as JSON.
    package var statement: String
    package var signature: String

    /// No request, answer or segment begins like this.
    fileprivate static func signedBytes(_ text: String) -> [UInt8] { [UInt8]("ZZ1 enrolment\n\(text)".utf8) }

    /// What it says, unproved.
    package var claimed: Enrolment? { WireJSON.decode(Enrolment.self, from: Array(statement.utf8)) }

    /// What it says; nil unless this hub has signed it.
    package func proved(by hub: PublicKeys) -> Enrolment? {
        guard let bytes = Data(base64Encoded: signature),
            PublicKeys.isSignature(Array(bytes), of: Self.signedBytes(statement), by: hub.signing),
            let enrolment = claimed, enrolment.hub == hub.site.description
        else { return nil }
        return enrolment
    }
}

// MARK: its file

extension SignedEnrolment {
    package static func path(_ home: String) -> String { home + "/enrolment.json" }
    /// A statement has about 1 KiB; more is another file.
    private static let fileBytesMax = 64 * 1024

    package func save(_ home: String) throws(Failure) {
        try DurableFile.write(WireJSON.encode(self, pretty: true), to: Self.path(home), mode: 0o600)
    }

    /// Nil when the home has none that can be read.
    package static func load(_ home: String) -> SignedEnrolment? {
        guard case .success(let bytes?) = DurableFile.read(path(home), bytesMax: fileBytesMax) else { return nil }
        return WireJSON.decode(SignedEnrolment.self, from: bytes)
    }
}
