import Foundation
import Shared
import Synchronization
import Testing

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
        let path = "/v1/segments/0000000000000001/\(keys.site)/1-9?mark=\(SegmentCodec.mark(segment))"
        #expect(
            server.requests.map(\.target) == [
                "\(path)&offset=0&size=3000000", path, "\(path)&offset=1000000&size=3000000", path,
                "\(path)&offset=2000000&size=3000000",
            ])
    }
}
