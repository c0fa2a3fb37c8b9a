// An enrolled site whose segments a test makes byte by byte: what a broken program, or a thief of a school's key, could send.

import Crypto
import Foundation
import Testing

@testable import Shared

struct Forger: Sendable {
    let keys: SiteKeys
    let hub: PublicKeys
    let scope: ScopeID
    let client: HubClient
    let transport: CurlTransport
    let catalogue: Catalogue

    /// Enrols with an invite of the hub, which must be serving.
    init(_ hub: Replica, school: String = World.school) async throws {
        let name = "forger-\(UUID())"
        let invite = try Invite.load(from: await hub.invite("\(name).invite", school: school))
        let home = hub.world.path(name)
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        let (link, reply, keys) = try await ParentLink.enrol(home, invite: invite, label: "forger")
        self.keys = keys
        self.hub = invite.hub
        scope = try #require(reply.scope.flatMap { ScopeID($0) })
        client = try link.client(keys: keys).0
        transport = try CurlTransport(invite.address)
        catalogue = try CatalogueLoader.embedded()
    }

    var major: Form { catalogue["general.major"]! }

    /// New rows of 专业设置 with these numbers.
    func body(_ numbers: String...) -> SegmentBody {
        var builder = SegmentBuilder()
        let form = major
        for (index, number) in numbers.enumerated() {
            var values = form.example
            values["major_number"] = .text(number)
            values["department_number"] = nil
            values["leader_number"] = nil
            builder.add(
                form: form, row: RowID(Int64(number.hashValue & 0xFFFF_FFFF) << 8 | Int64(index)), life: .alive, mask: form.allFields,
                stamp: Stamp(origin: keys.site, author: "forger", time: 1_790_000_000)
            ) { field, cells in cells.append(values[form.fields[field].id] ?? .null) }
        }
        return builder.take()!
    }

    func seal(
        _ body: SegmentBody, first: Int64 = 1, previous: ContentHash = .none, scope: ScopeID? = nil,
        decoding: ContentHash = SegmentCodec.decodingHash, key: Curve25519.Signing.PrivateKey? = nil
    ) throws -> SealedSegment {
        try SegmentCodec.seal(
            body: body, kind: .changes, scope: scope ?? self.scope, site: keys.site, firstSeq: Seq(first),
            lastSeq: Seq(first + Int64(body.changeCount) - 1), cursor: .none, epoch: 0, previousHash: previous,
            catalogueHash: catalogue.hash, decodingHash: decoding, level: 3, signingKey: key ?? keys.signing)
    }

    /// Signs a header that says anything, over a body that is anything.
    func forge(_ header: SegmentHeader, frame: [UInt8], version: UInt8 = 1) throws -> [UInt8] {
        var signed = header.signedBytes
        signed[4] = version
        return try signed + Array(keys.signing.signature(for: signed)) + frame
    }

    /// Uploads bytes as a segment with these seqs: nil when the hub took them, else why not.
    func put(_ bytes: [UInt8], first: Int64 = 1, last: Int64) async throws -> (code: WireCode, said: String)? {
        let target = "\(WirePath.segment(scope, keys.site, Seq(first), Seq(last), bytes))&offset=0&size=\(bytes.count)"
        let reply = try await send(.put, target, body: bytes)
        if reply.status == 200 {
            #expect(WireJSON.decode(UploadReply.self, from: reply.body)?.received == true)
            return nil
        }
        let refusal = try #require(WireJSON.decode(ErrorReply.self, from: reply.body))
        #expect(refusal.code.httpStatus == reply.status)
        return (refusal.code, refusal.message)
    }

    /// One call, signed by this site or as `header` says; whatever the hub answers must bear its signature.
    func send(
        _ method: WireRequest.Method, _ target: String, body: [UInt8] = [], header: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> WireReply {
        var request = WireRequest(method, target, body: body)
        request.headers[RequestSignature.headerName] =
            header ?? RequestSignature(method: method.rawValue, target: target, body: body, keys: keys).header
        let reply = try await transport.send(request)
        let signature = reply.headers[ReplySignature.headerName.lowercased()] ?? ""
        #expect(
            ReplySignature.isValid(
                header: signature, status: reply.status, target: target, body: reply.body, signingKey: hub.signing),
            "\(method) \(target): HTTP \(reply.status) is not signed", sourceLocation: sourceLocation)
        return reply
    }

    /// Asks until the hub has merged so far, as a sync does.
    func merged(upTo seq: Int64, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let hello = HelloRequest(
            scopes: [ScopeHello(scope: scope.description, lastSeq: seq, chain: "", cursor: 0, backlog: 0, school: nil)], clock: 0,
            catalogue: "")
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if try await client.hello(hello).scopes.first?.merged ?? 0 >= seq { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("the hub has not merged up to \(seq)", sourceLocation: sourceLocation)
    }
}
