import Foundation
import Glibc
import Shared
import Synchronization
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

@Suite("Backoff")
struct BackoffTests {
    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func everyWaitLiesBetweenBaseAndThriceTheLast(seed: UInt64) {
        var generator = SplitMix(state: seed)
        var backoff = Backoff(baseMs: 100, capMs: 5000)
        var previous = 100
        for _ in 0..<100 {
            let wait = backoff.next(using: &generator)
            #expect(100...min(5000, previous * 3) ~= wait)
            previous = wait
        }
        backoff.reset()
        #expect(100...300 ~= backoff.next(using: &generator))
    }

    @Test func theSeedDecides() {
        func waits(_ seed: UInt64) -> [Int] {
            var generator = SplitMix(state: seed)
            var backoff = Backoff()
            return (0..<20).map { _ in backoff.next(using: &generator) }
        }
        #expect(waits(7) == waits(7))
        #expect(waits(7) != waits(8))
    }

    @Test func theHubsWishIsNotUndercutAndNotMetByAllAtOnce() {
        var generator = SplitMix(state: 1)
        let waits = (0..<50).map { _ in
            var backoff = Backoff(baseMs: 1000, capMs: 2000)
            return backoff.next(atLeastMs: 17_000, using: &generator)
        }
        #expect(waits.allSatisfy { 17_000...18_000 ~= $0 })
        #expect(Set(waits).count > 40)
    }

    @Test func aHugeCapDoesNotOverflow() {
        var generator = SplitMix(state: 1)
        var backoff = Backoff(baseMs: Int.max / 2, capMs: Int.max)
        for _ in 0..<10 { #expect(backoff.next(using: &generator) >= Int.max / 2) }
    }
}

// MARK: CurlTransport

@Suite("libcurl against a scripted server", .timeLimit(.minutes(10)))
struct CurlTransportTests {
    let keys = SiteKeys()
    let hub = SiteKeys()

    func client(_ port: UInt16, _ change: (inout CurlTransport.Configuration) -> Void = { _ in }) throws -> HubClient {
        let transport = try transport(port, change)
        return HubClient(transport, keys: keys, hub: hub.publicKeys, label: transport.address.label)
    }

    func transport(
        _ port: UInt16, _ change: (inout CurlTransport.Configuration) -> Void = { _ in }
    ) throws -> CurlTransport {
        var configuration = CurlTransport.Configuration()
        change(&configuration)
        return try CurlTransport(HubAddress("http://127.0.0.1:\(port)"), configuration: configuration)
    }

    /// A signed answer as the hub gives it.
    func answer(_ status: Int, to request: RawRequest, _ body: [UInt8], extra: String = "") -> [UInt8] {
        let signature = ReplySignature.header(status: status, target: request.target, body: body, keys: hub)
        let head = "HTTP/1.1 \(status) X\r\nContent-Length: \(body.count)\r\nZZ-Signature: \(signature)\r\n\(extra)\r\n"
        return Array(head.utf8) + body
    }

    let hello = HelloRequest(scopes: [], clock: 1, catalogue: "c")
    let helloReply = HelloReply(scopes: [], clock: 2, epoch: 3, catalogue: "c")

    @Test func aSignedAnswerIsRead() async throws {
        let server = try ScriptedServer { connection in
            while let request = connection.readRequest() {
                connection.send(answer(200, to: request, WireJSON.encode(helloReply)))
            }
        }
        let client = try client(server.port)
        for round in 1...3 {
            #expect(try await client.hello(hello).epoch == 3)
            let requests = server.requests
            #expect(requests.count == round)
            #expect(client.traffic.bytesSent == requests.map(\.bytes.count).reduce(0, +))
        }
        let request = try #require(server.requests.first)
        #expect(request.line == "POST /v1/hello HTTP/1.1")
        #expect(request.headers["expect"] == nil)
        let signature = try #require(request.headers["authorization"].flatMap { RequestSignature(header: $0) })
        #expect(
            signature.isValid(
                method: "POST", target: "/v1/hello", body: request.body, signingKey: keys.publicKeys.signing))
        let expected = answer(200, to: request, WireJSON.encode(helloReply)).count
        #expect(client.traffic.bytesReceived == 3 * expected)
        #expect(server.connectionCount == 1)
    }

    @Test func manyCallsAtOnceGetTheirOwnAnswers() async throws {
        let server = try ScriptedServer { connection in
            while let request = connection.readRequest() {
                connection.send(answer(200, to: request, Array(request.target.utf8)))
            }
        }
        let client = try client(server.port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for n in 1...40 {
                group.addTask {
                    let page = try await client.logPage(ScopeID(5), after: Position(Int64(n)), bytesMax: 9)
                    #expect(page == Array("/v1/log/0000000000000005?after=\(n)&max=9".utf8))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func nothingNewerIsNil() async throws {
        let server = try ScriptedServer { connection in
            guard let request = connection.readRequest() else { return }
            connection.send(answer(204, to: request, []))
        }
        #expect(try await client(server.port).logPage(ScopeID(5), after: .none, bytesMax: 9) == nil)
    }

    @Test func aClosedPortRefuses() async throws {
        // Bound and not listening: nobody else can get the port meanwhile.
        let socket = try LoopbackSocket()
        let client = try client(socket.port)
        await #expect(
            throws: Failure(
                .noConnection, "The hub 127.0.0.1:\(socket.port) refused the connection.",
                next: "The machine is there, the hub's service is not: try later, or ask its operator.")
        ) { try await client.hello(hello) }
        withExtendedLifetime(socket) {}
    }

    @Test func aLineCutInTheAnswerIsNoConnection() async throws {
        let server = try ScriptedServer { connection in
            guard let request = connection.readRequest() else { return }
            connection.send(Array(answer(200, to: request, [UInt8](repeating: 7, count: 100)).dropLast(60)))
        }
        let transport = try transport(server.port)
        let client = HubClient(transport, keys: keys, hub: hub.publicKeys, label: "hub")
        let failure = try await #require(throws: Failure.self) { try await client.receipt(ScopeID(1)) }
        let traffic = transport.traffic
        #expect(traffic.bytesSent == server.requests[0].bytes.count)
        #expect(
            failure
                == Failure(
                    .noConnection,
                    "The line to the hub 127.0.0.1:\(server.port) broke after \(traffic.bytesSent) bytes sent "
                        + "and \(traffic.bytesReceived) bytes received.",
                    next: "Nothing is lost; sync again later, it goes on where it stopped."))
    }

    @Test(arguments: [
        (500, "sent HTTP 500, text/html"), (200, "sent HTTP 200, text/html"), (302, "sent HTTP 302, text/html"),
    ])
    func whatIsNotSignedIsNotFromAHub(status: Int, what: String) async throws {
        let server = try ScriptedServer { connection in
            guard connection.readRequest() != nil else { return }
            let page = "<html>login</html>"
            connection.send(
                "HTTP/1.1 \(status) X\r\nLocation: http://login.example/\r\nContent-Type: text/html\r\n"
                    + "Content-Length: \(page.utf8.count)\r\n\r\n\(page)")
        }
        let client = try client(server.port)
        let failure = try await #require(throws: Failure.self) { try await client.hello(hello) }
        #expect(failure.kind == .noConnection)
        #expect(failure.what == "The answer is not from a zzsync hub: 127.0.0.1:\(server.port) \(what), unsigned.")
        #expect(client.lastRefusal == nil)
    }

    @Test func whatIsNotHTTPIsNotFromAHub() async throws {
        let server = try ScriptedServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.send("SSH-2.0-OpenSSH_9.2\r\n")
        }
        let failure = try await #require(throws: Failure.self) { try await client(server.port).hello(hello) }
        #expect(failure.kind == .noConnection)
        #expect(failure.what == "The answer is not from a zzsync hub: what 127.0.0.1:\(server.port) sent is not HTTP.")
    }

    @Test func anotherHubsAnswerIsRefused() async throws {
        let stranger = SiteKeys()
        let server = try ScriptedServer { connection in
            guard let request = connection.readRequest() else { return }
            let body = WireJSON.encode(helloReply)
            let signature = ReplySignature.header(status: 200, target: request.target, body: body, keys: stranger)
            connection.send("HTTP/1.1 200 X\r\nContent-Length: \(body.count)\r\nZZ-Signature: \(signature)\r\n\r\n")
            connection.send(body)
        }
        let failure = try await #require(throws: Failure.self) { try await client(server.port).hello(hello) }
        #expect(failure.kind == .refusedByPeer)
        #expect(failure.what == "The answer of 127.0.0.1:\(server.port) is not signed by hub \(hub.site).")
    }

    @Test func aLineThatStandsStillIsLeft() async throws {
        let server = try ScriptedServer { connection in
            guard let request = connection.readRequest() else { return }
            connection.send(Array(answer(200, to: request, [UInt8](repeating: 7, count: 100)).dropLast(60)))
            connection.waitForClose()
        }
        // libcurl takes the mean of five seconds, so that a low limit would need as long to be undercut.
        let client = try client(server.port) {
            $0.lowSpeedBytesPerSecond = 1_000_000
            $0.lowSpeedSeconds = 1
        }
        let failure = try await #require(throws: Failure.self) { try await client.hello(hello) }
        #expect(failure.kind == .noConnection)
        #expect(
            failure.what
                == "The line to the hub 127.0.0.1:\(server.port) stood still: below 1000000 bytes a second for 1 s.")
    }

    @Test(arguments: [true, false])
    func aTooLargeAnswerIsNotRead(isSizeDeclared: Bool) async throws {
        let server = try ScriptedServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.send("HTTP/1.1 200 X\r\n" + (isSizeDeclared ? "Content-Length: 9999999\r\n\r\n" : "\r\n"))
            while connection.send([UInt8](repeating: 7, count: 4096)) {}
        }
        let client = try client(server.port) { $0.replyBytesMax = 100_000 }
        let failure = try await #require(throws: Failure.self) { try await client.hello(hello) }
        #expect(failure.kind == .refusedByPeer)
        #expect(failure.what == "The answer of 127.0.0.1:\(server.port) is larger than 100000 bytes and was not read.")
    }

    @Test func cancellingEndsTheCall() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        let server = try ScriptedServer { connection in
            guard connection.readRequest() != nil else { return }
            arrived.continuation.yield()
            connection.waitForClose()
        }
        let client = try client(server.port)
        let task = Task { try await client.hello(hello) }
        for await _ in arrived.stream { break }
        task.cancel()
        let failure = await #expect(throws: Failure.self) { try await task.value }
        #expect(failure?.what == "The transfer with the hub 127.0.0.1:\(server.port) was cancelled.")
        let never = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.hello(hello)
        }
        await #expect(throws: Failure.self) { try await never.value }
    }

    @Test func refusalsCarryTheirCode() async throws {
        let errors: [(WireCode, Failure.Kind)] = [
            (.busy, .busy), (.unauthenticated, .refusedByPeer), (.invite, .refusedByPeer), (.outOfChain, .busy),
            (.internalError, .noConnection), (.badSegment, .refusedByPeer),
        ]
        let queue = Mutex(errors.map(\.0))
        let server = try ScriptedServer { connection in
            while let request = connection.readRequest() {
                let code = queue.withLock { $0.removeFirst() }
                let body = WireJSON.encode(ErrorReply(code: code, message: "So it is."))
                connection.send(answer(code.httpStatus, to: request, body, extra: "Retry-After: 17\r\n"))
            }
        }
        let client = try client(server.port)
        for (code, kind) in errors {
            let failure = try await #require(throws: Failure.self) { try await client.hello(hello) }
            #expect(failure.kind == kind)
            #expect(client.lastRefusal == HubClient.Refusal(code: code, retryAfterSeconds: 17))
            #expect(failure.what.contains(code == .busy ? "busy for another 17 seconds" : "So it is."))
        }
    }

    @Test func anUploadGoesOnWhereTheLineBroke() async throws {
        let segment = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let held = Mutex<[UInt8]>([])
        let server = try ScriptedServer { connection in
            while let head = connection.readHead() {
                let count = held.withLock { $0.count }
                guard head.line.hasPrefix("PUT") else {
                    connection.send(answer(200, to: head, WireJSON.encode(UploadReply(offset: count, received: false))))
                    continue
                }
                // The first two tries break after a million bytes.
                let length = Int(head.headers["content-length"] ?? "") ?? 0
                let taken = connection.read(min(length, 1_000_000))
                held.withLock { $0 += taken }
                guard taken.count == length else { return }
                connection.send(
                    answer(200, to: head, WireJSON.encode(UploadReply(offset: segment.count, received: true))))
            }
        }
        let client = try client(server.port)
        let reply = try await client.putSegment(ScopeID(1), keys.site, Seq(1), Seq(9), bytes: segment)
        #expect(reply.received)
        let isSame = held.withLock { $0 == segment }
        #expect(isSame)  // not the arrays themselves: a failure would print them
        let path = "/v1/segments/0000000000000001/\(keys.site)/1-9"
        #expect(
            server.requests.map(\.target) == [
                "\(path)?offset=0&size=3000000", path, "\(path)?offset=1000000&size=3000000", path,
                "\(path)?offset=2000000&size=3000000",
            ])
    }
}

// MARK: HubClient without a line

@Suite("A hub's client")
struct HubClientTests {
    let keys = SiteKeys()
    let hub = SiteKeys()

    func client(_ script: @escaping @Sendable (WireRequest) throws(Failure) -> (WireCode?, any Encodable & Sendable))
        -> HubClient
    {
        let transport = ScriptedTransport(hub: hub, script: script)
        return HubClient(transport, keys: keys, hub: hub.publicKeys, label: "hub")
    }

    @Test func enrolmentChecksTheKeysOfTheInvite() async throws {
        let good = EnrolReply(
            hubSite: hub.site.description, hubSigningKey: hub.publicKeys.signingBase64,
            hubAgreementKey: hub.publicKeys.agreementBase64, hubName: "省", epoch: 1, scope: nil)
        let request = EnrolRequest(token: "t", signingKey: "s", agreementKey: "a", label: "l")
        #expect(try await client { _ in (nil, good) }.enrol(request).hubName == "省")
        var bad = good
        bad.hubAgreementKey = SiteKeys().publicKeys.agreementBase64
        let deceived = client { [bad] _ in (nil, bad) }
        let failure = try await #require(throws: Failure.self) { try await deceived.enrol(request) }
        #expect(failure.kind == .refusedByPeer)
    }

    @Test func anUploadFollowsTheHubsOffset() async throws {
        let offsets = Mutex<[Int]>([])
        let client = client { request in
            guard request.method == .put else { return (nil, UploadReply(offset: 3, received: false)) }
            offsets.withLock { $0.append(request.uploadOffset) }
            if request.uploadOffset != 3 { return (.wrongOffset, ErrorReply(code: .wrongOffset, message: "At 3.")) }
            return (nil, UploadReply(offset: 10, received: true))
        }
        let bytes = [UInt8](repeating: 1, count: 10)
        #expect(try await client.putSegment(ScopeID(1), keys.site, Seq(1), Seq(2), bytes: bytes, from: 7).received)
        #expect(offsets.withLock { $0 } == [7, 3])
        #expect(client.lastRefusal == nil)
    }

    @Test func anUploadThatDoesNotMoveIsGivenUp() async throws {
        let calls = Mutex(0)
        let broken = Failure(.noConnection, "Cut.", next: "Later.")
        let client = client { request throws(Failure) in
            calls.withLock { $0 += 1 }
            if request.method == .put { throw broken }
            return (nil, UploadReply(offset: 4, received: false))
        }
        let bytes = [UInt8](repeating: 1, count: 10)
        await #expect(throws: broken) {
            try await client.putSegment(ScopeID(1), keys.site, Seq(1), Seq(2), bytes: bytes)
        }
        #expect(calls.withLock { $0 } == 6)  // three tries, each with its question: one to 4, two from 4 not further
        let silent = self.client { _ in (nil, UploadReply(offset: 0, received: false)) }
        let reply = try await silent.putSegment(ScopeID(1), keys.site, Seq(1), Seq(2), bytes: bytes)
        #expect(reply.offset == 0 && !reply.received)
        let mad = self.client { _ in (nil, UploadReply(offset: 11, received: false)) }
        await #expect(throws: Failure.self) {
            try await mad.putSegment(ScopeID(1), keys.site, Seq(1), Seq(2), bytes: bytes)
        }
    }
}

/// Answers from a script, signed by the hub.
private struct ScriptedTransport: Transport {
    let hub: SiteKeys
    let script: @Sendable (WireRequest) throws(Failure) -> (WireCode?, any Encodable & Sendable)

    func send(_ request: WireRequest) async throws(Failure) -> WireReply {
        let (code, document) = try script(request)
        let status = code?.httpStatus ?? 200
        let body = WireJSON.encode(document)
        let signature = ReplySignature.header(status: status, target: request.target, body: body, keys: hub)
        return WireReply(status: status, headers: ["zz-signature": signature], body: body)
    }
}

// MARK: a TCP server of a few lines

/// A socket bound to a free loopback port.
final class LoopbackSocket: Sendable {
    let handle: Int32
    let port: UInt16

    init() throws {
        handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let handle = handle
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(handle, $0, size) == 0 && getsockname(handle, $0, &size) == 0
            }
        }
        try #require(isBound)
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(handle) }
}

/// One request as it came in.
struct RawRequest {
    var line = ""
    var headers: [String: String] = [:]
    var body: [UInt8] = []
    var bytes: [UInt8] = []
    var target: String { String(line.split(separator: " ").dropFirst().first ?? "") }
}

/// Runs `script` on a thread of its own for each connection; the connection is closed when the script returns.
final class ScriptedServer: Sendable {
    private let listener: LoopbackSocket
    private let seen = Mutex<(requests: [RawRequest], connections: Int)>(([], 0))
    var port: UInt16 { listener.port }
    var requests: [RawRequest] { seen.withLock { $0.requests } }
    var connectionCount: Int { seen.withLock { $0.connections } }

    init(_ script: @escaping @Sendable (ScriptedConnection) -> Void) throws {
        let listener = try LoopbackSocket()
        self.listener = listener
        try #require(listen(listener.handle, 64) == 0)
        // Listens until the process ends: tied to the test's last mention of it, it would go before the client comes.
        Thread.detachNewThread { [self] in
            while true {
                let handle = accept(listener.handle, nil, nil)
                guard handle >= 0 else { return }
                let connection = ScriptedConnection(handle) { [self] request in
                    seen.withLock { $0.requests.append(request) }
                }
                seen.withLock { $0.connections += 1 }
                Thread.detachNewThread {
                    script(connection)
                    connection.end()
                }
            }
        }
    }
}

/// `@unchecked Sendable`: used by the one thread that runs its script.
final class ScriptedConnection: @unchecked Sendable {
    private let handle: Int32
    private let note: (RawRequest) -> Void
    private var buffer: [UInt8] = []

    init(_ handle: Int32, note: @escaping (RawRequest) -> Void) {
        self.handle = handle
        self.note = note
    }

    /// The request line and headers; nil when the client has gone.
    func readHead() -> RawRequest? {
        let request = parseHead()
        if let request { note(request) }
        return request
    }

    /// A whole request; nil when the client has gone.
    func readRequest() -> RawRequest? {
        guard var request = parseHead() else { return nil }
        request.body = read(Int(request.headers["content-length"] ?? "") ?? 0)
        request.bytes += request.body
        note(request)
        return request
    }

    private func parseHead() -> RawRequest? {
        var end: Range<Int>?
        while end == nil {
            end = buffer.firstRange(of: Array("\r\n\r\n".utf8))
            if end == nil, !fill() { return nil }
        }
        var request = RawRequest()
        request.bytes = Array(buffer[..<end!.upperBound])
        buffer.removeFirst(end!.upperBound)
        let lines = String(decoding: request.bytes, as: UTF8.self).split(separator: "\r\n")
        request.line = String(lines[0])
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            request.headers[parts[0].lowercased()] = parts.last?.trimmingCharacters(in: .whitespaces)
        }
        return request
    }

    /// Up to `count` bytes: fewer when the client has gone.
    func read(_ count: Int) -> [UInt8] {
        while buffer.count < count, fill() {}
        let taken = Array(buffer.prefix(count))
        buffer.removeFirst(taken.count)
        return taken
    }

    /// False when the client has gone.
    @discardableResult func send(_ bytes: [UInt8]) -> Bool {
        var at = 0
        while at < bytes.count {
            let sent = bytes.withUnsafeBytes {
                Glibc.send(handle, $0.baseAddress! + at, $0.count - at, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return false }
            at += sent
        }
        return true
    }

    @discardableResult func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    func waitForClose() { while fill() {} }

    func end() { close(handle) }

    private func fill() -> Bool {
        var room = [UInt8](repeating: 0, count: 65536)
        let count = recv(handle, &room, room.count, 0)
        guard count > 0 else { return false }
        buffer += room[..<count]
        return true
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

private func inTemporaryFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("zzsync-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
}
