// The file by which a hub lets one school, or one hub below it, in: carried by mail, chat or USB stick, used once.
//
// It holds all that the new replica must trust: where the hub is, which keys it has, which certificate its line shows.
// People open it, so its keys are readable; programs of several years read it, so it says what it is and its version.

import Foundation

package struct Invite: Hashable, Sendable {
    /// A hub below the one that invites.
    package struct ChildHub: Codable, Hashable, Sendable {
        package var code: String
        /// province, city, county or ministry, as in `hub init --level`.
        package var level: String
        package var name: String
        package init(code: String, level: String, name: String) {
            self.code = code
            self.level = level
            self.name = name
        }
    }
    package enum Guest: Hashable, Sendable {
        /// The hub gives the school's scope here, once for all.
        case school(SchoolInfo, scope: ScopeID)
        case hub(ChildHub)
    }

    package var address: HubAddress
    package var hub: PublicKeys
    /// `sha256//<base64>` of the public key of the hub's certificate, several apart by `;`; nil = system's authorities.
    package var certificatePin: String?
    package var allowsInsecureHTTP: Bool
    package var guest: Guest
    /// 32 random bytes, base64url; proves the invitation to the hub that gave it.
    package var token: String
    /// Seconds since 1970, by the hub's clock.
    package var expires: Int64

    package init(
        address: HubAddress, hub: PublicKeys, certificatePin: String?, allowsInsecureHTTP: Bool, guest: Guest,
        token: String = Invite.newToken(), expires: Int64
    ) {
        self.address = address
        self.hub = hub
        self.certificatePin = certificatePin
        self.allowsInsecureHTTP = allowsInsecureHTTP
        self.guest = guest
        self.token = token
        self.expires = expires
    }

    /// 32 bytes of the system's randomness, base64url without padding.
    package static func newToken() -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        return Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }

    /// A sentence when the invite looks expired by this machine's clock, which may be wrong: the hub decides, so go on.
    package func expiryHint(nowSeconds: Int64) -> String? {
        guard nowSeconds > expires else { return nil }
        return "By this machine's clock the invite expired at \(shownTime(expires)); the hub decides."
    }
}

// MARK: the file

extension Invite {
    package static let fileVersion = 1
    /// An invite has about 1 KiB; more is another file.
    private static let fileBytesMax = 64 * 1024

    private struct File: Codable {
        struct Hub: Codable {
            var url: String?
            var site: String?
            var signingKey: String?
            var agreementKey: String?
            var certificatePin: String?
            var plainHTTPAllowed: Bool?
            enum CodingKeys: String, CodingKey {
                case url, site
                case signingKey = "signing_key"
                case agreementKey = "agreement_key"
                case certificatePin = "certificate_pin"
                case plainHTTPAllowed = "plain_http_allowed"
            }
        }
        struct School: Codable {
            var scope: String?
            var code: String?
            var type: String?
            var name: String?
            var region: String?
        }
        struct ChildHub: Codable {
            var code: String?
            var level: String?
            var name: String?
        }
        var zzsync: String?
        var version: Int?
        var hub: Hub?
        var school: School?
        var childHub: ChildHub?
        var token: String?
        var expires: Int64?
        enum CodingKeys: String, CodingKey {
            case zzsync, version, hub, school, token, expires
            case childHub = "child_hub"
        }
    }
    /// What every version says about itself.
    private struct Head: Codable {
        var zzsync: String?
        var version: Int?
    }

    /// The bytes of the file.
    package func encoded() -> [UInt8] {
        var file = File(
            zzsync: "invite", version: Self.fileVersion,
            hub: File.Hub(
                url: address.url, site: hub.site.description, signingKey: hub.signingBase64,
                agreementKey: hub.agreementBase64, certificatePin: certificatePin,
                plainHTTPAllowed: allowsInsecureHTTP),
            token: token, expires: expires)
        switch guest {
        case .school(let school, let scope):
            file.school = File.School(
                scope: scope.description, code: school.code, type: school.type, name: school.name, region: school.region
            )
        case .hub(let child):
            file.childHub = File.ChildHub(code: child.code, level: child.level, name: child.name)
        }
        return WireJSON.encode(file, pretty: true) + [0x0A]
    }

    /// Writes the file durably, readable by its owner alone: whoever has it can join in the school's place.
    package func save(to path: String) throws(Failure) { try DurableFile.write(encoded(), to: path, mode: 0o600) }

    /// - Throws: `Failure(.usage)` naming what is wrong with the file; `.refused` when it needs a newer zzsync.
    package static func load(from path: String) throws(Failure) -> Invite {
        switch DurableFile.read(path, bytesMax: fileBytesMax) {
        case .success(.some(let bytes)): return try Invite(bytes, name: path)
        case .success(.none): throw unusable(path, "is no invite: it is larger than \(fileBytesMax) bytes")
        case .failure(let reason):
            throw Failure(
                .usage, "The invite \(path) cannot be read: \(reason).", next: "Give the path of the file from the hub."
            )
        }
    }

    /// - Parameter name: what to call the file in sentences.
    package init(_ bytes: [UInt8], name: String) throws(Failure) {
        // Windows editors put a byte order mark before what they save.
        let document = Data(bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...])
        let head: Head
        do {
            head = try JSONDecoder().decode(Head.self, from: document)
        } catch DecodingError.dataCorrupted {
            throw Self.unusable(name, "is not JSON; it may be cut off")
        } catch {
            throw Self.unusable(name, "is JSON, but no invite")
        }
        guard head.zzsync == "invite", let version = head.version else {
            throw Self.unusable(name, "is JSON, but no invite")
        }
        guard version <= Self.fileVersion else {
            throw Failure(
                .refused, "The invite \(name) has version \(version), this program knows \(Self.fileVersion).",
                next: "Install a newer zzsync, then join with the same file.")
        }
        do {
            try self.init(JSONDecoder().decode(File.self, from: document), name: name)
        } catch let failure as Failure {
            throw failure
        } catch DecodingError.typeMismatch(_, let context) {
            throw Self.unusable(
                name, "has a wrong value at \(context.codingPath.map(\.stringValue).joined(separator: "."))")
        } catch {
            throw Self.unusable(name, "cannot be understood: \(error)")
        }
    }

    private init(_ file: File, name: String) throws(Failure) {
        let missing = Self.missingFields(of: file)
        guard missing.isEmpty else { throw Self.unusable(name, "lacks \(missing.joined(separator: ", "))") }
        let hub = file.hub!
        guard let keys = PublicKeys(signingBase64: hub.signingKey!, agreementBase64: hub.agreementKey!) else {
            throw Self.unusable(name, "holds keys of the hub that are not keys")
        }
        guard keys.site.description == hub.site! else {
            throw Self.unusable(name, "names hub site \(hub.site!), but the hub's key belongs to site \(keys.site)")
        }
        guard Self.isToken(file.token!) else { throw Self.unusable(name, "holds a token that is not one") }
        if let pin = hub.certificatePin, !Self.isPin(pin) {
            throw Self.unusable(name, "holds a certificate pin that is not sha256//…")
        }
        let address = try HubAddress(hub.url!)
        let allowed = hub.plainHTTPAllowed ?? false
        try address.checkEncryption(allowInsecureHTTP: allowed)
        self.init(
            address: address, hub: keys, certificatePin: hub.certificatePin, allowsInsecureHTTP: allowed,
            guest: try Self.guest(of: file, name: name), token: file.token!, expires: file.expires!)
    }

    private static func guest(of file: File, name: String) throws(Failure) -> Guest {
        switch (file.school, file.childHub) {
        case (let school?, nil):
            guard let scope = ScopeID(school.scope!) else {
                throw unusable(name, "holds a scope that is not 16 hexadecimal digits")
            }
            let info = SchoolInfo(code: school.code!, name: school.name!, type: school.type!, region: school.region)
            return .school(info, scope: scope)
        case (nil, let child?):
            return .hub(ChildHub(code: child.code!, level: child.level!, name: child.name!))
        default:
            throw unusable(name, "invites both a school and a hub")
        }
    }

    /// Every field that is missing, so that one look at the file is enough.
    private static func missingFields(of file: File) -> [String] {
        var wanted: [(String, Bool)] = [
            ("hub.url", file.hub?.url != nil), ("hub.site", file.hub?.site != nil),
            ("hub.signing_key", file.hub?.signingKey != nil), ("hub.agreement_key", file.hub?.agreementKey != nil),
            ("school or child_hub", file.school != nil || file.childHub != nil),
            ("token", file.token != nil), ("expires", file.expires != nil),
        ]
        if let school = file.school {
            wanted += [
                ("school.scope", school.scope != nil), ("school.code", school.code != nil),
                ("school.type", school.type != nil), ("school.name", school.name != nil),
            ]
        }
        if let child = file.childHub {
            wanted += [
                ("child_hub.code", child.code != nil), ("child_hub.level", child.level != nil),
                ("child_hub.name", child.name != nil),
            ]
        }
        return wanted.filter { !$0.1 }.map(\.0)
    }

    private static func isToken(_ text: String) -> Bool {
        let base64 = text.replacing("-", with: "+").replacing("_", with: "/") + "="
        return text.utf8.count == 43 && Data(base64Encoded: base64)?.count == 32
    }

    private static func isPin(_ text: String) -> Bool {
        text.split(separator: ";", omittingEmptySubsequences: false).allSatisfy {
            $0.hasPrefix("sha256//") && Data(base64Encoded: String($0.dropFirst(8)))?.count == 32
        }
    }

    private static func unusable(_ name: String, _ what: String) -> Failure {
        Failure(
            .usage, "The invite \(name) \(what).", next: "Ask the hub's operator to send the file again, unchanged.")
    }
}
