import Foundation
import Shared
import Testing

@Suite("Invites")
struct InviteTests {
    let hub = SiteKeys()
    var school: Invite {
        get throws {
            Invite(
                address: try HubAddress("https://hub.example:8443/"), hub: hub.publicKeys,
                certificatePin: "sha256//" + Data(count: 32).base64EncodedString(), allowsInsecureHTTP: false,
                guest: .school(
                    SchoolInfo(code: "3144010001", name: "广州市第一职业学校", type: "1", region: "440100"), scope: ScopeID(77)),
                expires: 1_800_000_000)
        }
    }

    @Test func theFileGivesTheSameInviteBack() throws {
        try inTemporaryFolder { folder in
            let path = folder + "/invite.json"
            var invite = try school
            try invite.save(to: path)
            #expect(try Invite.load(from: path) == invite)
            invite.guest = .hub(Invite.ChildHub(code: "4401", level: "city", name: "广州市"))
            invite.certificatePin = nil
            try invite.save(to: path)
            #expect(try Invite.load(from: path) == invite)
            #expect(invite.address.url == "https://hub.example:8443")
        }
    }

    @Test func aWindowsEditorMayHaveSavedIt() throws {
        let invite = try school
        #expect(try Invite([0xEF, 0xBB, 0xBF] + invite.encoded(), name: "x") == invite)
    }

    @Test func tokensAreThirtyTwoRandomBytes() {
        let tokens = Set((0..<100).map { _ in Invite.newToken() })
        #expect(tokens.count == 100)
        #expect(tokens.allSatisfy { $0.utf8.count == 43 && !$0.contains { "+/=".contains($0) } })
    }

    @Test func theLocalClockOnlyHints() throws {
        let invite = try school
        #expect(invite.expiryHint(nowSeconds: 1_800_000_000) == nil)
        #expect(
            invite.expiryHint(nowSeconds: 1_800_000_001)
                == "By this machine's clock the invite expired at 2027-01-15T08:00:00Z; the hub decides.")
    }

    /// Text in the file, text instead, what the sentence says.
    static let damages: [(String, String, String)] = [
        ("{", "", "is not JSON; it may be cut off"),
        ("\"invite\"", "\"bundle\"", "is JSON, but no invite"),
        ("\"version\" : 1", "\"version\" : \"one\"", "is JSON, but no invite"),
        ("\"token\"", "\"tokem\"", "lacks token"),
        ("\"expires\" : 1800000000", "\"expires\" : \"soon\"", "has a wrong value at expires"),
        ("\"signing_key\"", "\"x\"", "lacks hub.signing_key"),
        ("\"signing_key\" : \"", "\"signing_key\" : \"A", "holds keys of the hub that are not keys"),
        ("\"scope\"", "\"x\"", "lacks school.scope"),
        ("0000000000004d", "0000000000004x", "holds a scope that is not 16 hexadecimal digits"),
        ("\"school\"", "\"x\"", "lacks school or child_hub"),
        ("\"token\" : \"", "\"token\" : \"A", "holds a token that is not one"),
        ("sha256//", "sha1//", "holds a certificate pin that is not sha256//…"),
    ]

    @Test(arguments: damages)
    func aDamagedInviteSaysWhat(from: String, to: String, what: String) throws {
        let text = String(decoding: try school.encoded(), as: UTF8.self)
        let damaged = text.replacing(from, with: to, maxReplacements: 1)
        #expect(damaged != text)
        let next = "Ask the hub's operator to send the file again, unchanged."
        #expect(throws: Failure(.usage, "The invite a.json \(what).", next: next)) {
            try Invite(Array(damaged.utf8), name: "a.json")
        }
    }

    @Test func anExchangedKeyDoesNotPass() throws {
        let text = String(decoding: try school.encoded(), as: UTF8.self)
        let stranger = SiteKeys().publicKeys
        let changed = text.replacing(hub.publicKeys.signingBase64, with: stranger.signingBase64)
        let failure = try #require(throws: Failure.self) { try Invite(Array(changed.utf8), name: "a.json") }
        #expect(
            failure.what
                == "The invite a.json names hub site \(hub.site), but the hub's key belongs to site \(stranger.site).")
    }

    @Test func aNewerVersionAndAMissingFileAreNamed() throws {
        let text = String(decoding: try school.encoded(), as: UTF8.self).replacing(
            "\"version\" : 1", with: "\"version\" : 2")
        #expect(
            throws: Failure(
                .refused, "The invite a.json has version 2, this program knows 1.",
                next: "Install a newer zzsync, then join with the same file.")
        ) { try Invite(Array(text.utf8), name: "a.json") }
        #expect(
            throws: Failure(
                .usage, "The invite /nowhere/a.json cannot be read: No such file or directory.",
                next: "Give the path of the file from the hub.")
        ) { try Invite.load(from: "/nowhere/a.json") }
    }

    @Test func plainHTTPNeedsLoopbackOrLeave() throws {
        for text in ["http://127.0.0.1:1", "http://127.9.9.9", "http://localhost:80", "http://[::1]:8"] {
            let address = try HubAddress(text)
            #expect(address.isLoopback)
            try address.checkEncryption(allowInsecureHTTP: false)
        }
        for text in ["http://hub.example", "http://127.0.0.1.evil.example", "http://[::2]:8", "http://10.0.0.1"] {
            let address = try HubAddress(text)
            #expect(!address.isLoopback)
            try address.checkEncryption(allowInsecureHTTP: true)
            #expect(throws: Failure.self) { try address.checkEncryption(allowInsecureHTTP: false) }
            #expect(throws: Failure.self) { try CurlTransport(address) }
        }
        for text in [
            "", "hub.example", "ftp://hub.example", "https://", "https://u:p@h", "https://h/?q", "https://h:99999",
        ] {
            #expect(throws: Failure.self) { try HubAddress(text) }
        }
    }
}
