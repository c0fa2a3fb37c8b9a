// What a child keeps of its parent beside the database: where it is and which keys it has. One small file, written durably
// when the join succeeded; no file = not joined.

import Foundation

package struct ParentLink: Codable, Sendable {
    package var url: String
    package var hubName: String
    package var signingKey: String
    package var agreementKey: String
    package var certificatePin: String?
    package var plainHTTPAllowed: Bool

    package static func path(_ home: String) -> String { home + "/parent.json" }
    package static func keysPath(_ home: String) -> String { home + "/keys.json" }

    /// - Throws: `Failure(.refused)` when this replica has not joined a hub.
    package static func load(_ home: String, verb: String = "zzsync join") throws(Failure) -> ParentLink {
        switch DurableFile.read(path(home), bytesMax: 64 * 1024) {
        case .success(let bytes?):
            if let link = WireJSON.decode(ParentLink.self, from: bytes) { return link }
            throw Failure(.damaged, "\(path(home)) is not readable.", next: "Join again with a new invite; entered data are kept.")
        default:
            throw Failure(
                .refused, "This replica has not joined a hub yet; everything entered stays here until then.",
                next: "Ask the hub's operator for an invite and use `\(verb) --invite FILE`.")
        }
    }

    package static func exists(_ home: String) -> Bool { FileManager.default.fileExists(atPath: path(home)) }

    package func client(keys: SiteKeys) throws(Failure) -> (HubClient, PublicKeys) {
        guard let hub = PublicKeys(signingBase64: signingKey, agreementBase64: agreementKey) else {
            throw Failure(.damaged, "parent.json holds no usable keys.", next: "Join again with a new invite.")
        }
        let address = try HubAddress(url)
        let transport = try CurlTransport(
            address,
            configuration: CurlTransport.Configuration(
                certificatePin: certificatePin, allowInsecureHTTP: plainHTTPAllowed))
        return (HubClient(transport, keys: keys, hub: hub, label: address.label), hub)
    }

    /// Uses the one-time invite for the replica in `home`.
    ///
    /// Interrupted anywhere, it can be repeated: the keys are saved first, and a hub answers the same site again. A home that has had
    /// several incarnations enrols an older one, which then introduces the present: what that one inherits is signed again.
    ///
    /// - Returns: the hub's answer; the caller stores the scope and then calls `save`.
    package static func enrol(
        _ home: String, invite: Invite, label: String
    ) async throws(Failure) -> (ParentLink, EnrolReply, SiteKeys) {
        let path = keysPath(home)
        let keys: SiteKeys
        if FileManager.default.fileExists(atPath: path) {
            let present = try SiteKeys.load(from: path)
            keys = Incarnation.older(path).first ?? present
        } else {
            keys = SiteKeys()
            try keys.save(to: path)
        }
        let link = ParentLink(
            url: invite.address.url, hubName: "", signingKey: invite.hub.signingBase64,
            agreementKey: invite.hub.agreementBase64, certificatePin: invite.certificatePin,
            plainHTTPAllowed: invite.allowsInsecureHTTP)
        let (client, _) = try link.client(keys: keys)
        let reply = try await client.enrol(
            EnrolRequest(
                token: invite.token, signingKey: keys.publicKeys.signingBase64,
                agreementKey: keys.publicKeys.agreementBase64, label: label))
        try reply.enrolment?.save(home)
        var joined = link
        joined.hubName = reply.hubName
        return (joined, reply, keys)
    }

    package func save(_ home: String) throws(Failure) {
        try DurableFile.write(WireJSON.encode(self, pretty: true), to: Self.path(home), mode: 0o600)
    }
}
