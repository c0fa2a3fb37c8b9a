import Foundation
import Shared
import Testing

@Suite("Signatures of requests and answers")
struct SignatureTests {
    let keys = SiteKeys()
    let body = Array("{}".utf8)

    @Test func aRequestIsProvedByItsHeader() throws {
        let made = RequestSignature(method: "POST", target: "/v1/hello", body: body, keys: keys)
        let read = try #require(RequestSignature(header: made.header))
        #expect(read == made)
        #expect(read.site == keys.site)
        #expect(made.header.hasPrefix("ZZ1 \(keys.site) "))
        let key = keys.publicKeys.signing
        #expect(read.isValid(method: "POST", target: "/v1/hello", body: body, signingKey: key))
        #expect(!read.isValid(method: "PUT", target: "/v1/hello", body: body, signingKey: key))
        #expect(!read.isValid(method: "POST", target: "/v1/hello?x=1", body: body, signingKey: key))
        #expect(!read.isValid(method: "POST", target: "/v1/hello", body: body + [0], signingKey: key))
        let stranger = SiteKeys().publicKeys.signing
        #expect(!read.isValid(method: "POST", target: "/v1/hello", body: body, signingKey: stranger))
        #expect(!read.isValid(method: "POST", target: "/v1/hello", body: body, signingKey: [1, 2, 3]))
    }

    @Test func aSegmentIsUploadedBeforeItsBodyIsRead() {
        let target = "/v1/segments/0000000000000001/0000000000000002/1-9?offset=4&size=9"
        let made = RequestSignature(method: "PUT", target: target, body: body, keys: keys)
        let key = keys.publicKeys.signing
        #expect(made.isValid(method: "PUT", target: target, body: [], signingKey: key))
        #expect(!made.isValid(method: "PUT", target: target + "0", body: [], signingKey: key))
        #expect(!RequestSignature.isBodyUnsigned(method: "GET", target: target))
        #expect(!RequestSignature.isBodyUnsigned(method: "PUT", target: "/v1/hello"))
    }

    @Test(arguments: [
        "", "ZZ1", "Basic abc def", "ZZ2 0000000000000001 AAAA", "ZZ1 1 AAAA", "ZZ1 0000000000000001 AAAA",
        "ZZ1  0000000000000001", "ZZ1 0000000000000001 !",
    ])
    func aHeaderOfAnotherFormIsNil(header: String) {
        #expect(RequestSignature(header: header) == nil)
    }

    @Test func anAnswerIsProvedByItsHeader() {
        let key = keys.publicKeys.signing
        let header = ReplySignature.header(status: 200, target: "/v1/hello", body: body, keys: keys)
        func isValid(_ header: String, _ status: Int, _ target: String, _ body: [UInt8], _ key: [UInt8]) -> Bool {
            ReplySignature.isValid(header: header, status: status, target: target, body: body, signingKey: key)
        }
        #expect(isValid(header, 200, "/v1/hello", body, key))
        #expect(!isValid(header, 201, "/v1/hello", body, key))
        #expect(!isValid(header, 200, "/v1/enrol", body, key))
        #expect(!isValid(header, 200, "/v1/hello", [], key))
        #expect(!isValid(header, 200, "/v1/hello", body, SiteKeys().publicKeys.signing))
        #expect(!isValid("", 200, "/v1/hello", body, key))
        #expect(!isValid("no base64", 200, "/v1/hello", body, key))
    }
}

@Suite("Keys of a site")
struct SiteKeysTests {
    @Test func theFileGivesTheSameKeysBackAndIsPrivate() throws {
        try inTemporaryFolder { folder in
            let path = folder + "/site.key"
            let old = SiteKeys()
            try old.save(to: path)
            let keys = SiteKeys()
            try keys.save(to: path)
            let loaded = try SiteKeys.load(from: path)
            #expect(loaded.publicKeys == keys.publicKeys)
            let signature = loaded.sign([1, 2])
            #expect(PublicKeys.isSignature(signature, of: [1, 2], by: keys.publicKeys.signing))
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["site.key"])
        }
    }

    @Test func theSiteIsTheHeadOfTheKeysHash() {
        // sha256 of 32 zero bytes begins 66687aadf862bd77.
        let zeros = [UInt8](repeating: 0, count: 32)
        #expect(PublicKeys.site(ofSigningKey: zeros) == SiteID(0x6668_7aad_f862_bd77))
    }

    @Test func aBrokenFileIsNamed() throws {
        try inTemporaryFolder { folder in
            let path = folder + "/site.key"
            let next = "Restore it from a backup, or join again with a new invite; entered data are kept."
            func expect(_ what: String) {
                #expect(throws: Failure(.damaged, "The key file \(path) \(what).", next: next)) {
                    try SiteKeys.load(from: path)
                }
            }
            expect("cannot be read: No such file or directory")
            try Data("no".utf8).write(to: URL(fileURLWithPath: path))
            expect("is not a key file")
            let keys = SiteKeys()
            let other = SiteKeys()
            try keys.save(to: path)
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try Data(text.replacing("\(keys.site)", with: "\(other.site)").utf8).write(to: URL(fileURLWithPath: path))
            expect("names site \(other.site), but its key belongs to site \(keys.site)")
            try Data(count: 5000).write(to: URL(fileURLWithPath: path))
            expect("is not a key file")
        }
    }

    @Test func aFolderThatIsNotThereIsNamed() throws {
        let failure = try #require(throws: Failure.self) { try SiteKeys().save(to: "/nowhere/site.key") }
        #expect(failure.kind == .refused)
        #expect(failure.what.hasSuffix(": No such file or directory."))
    }
}
