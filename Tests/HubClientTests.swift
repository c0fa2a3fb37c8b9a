import Foundation
import Shared
import Synchronization
import Testing

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
