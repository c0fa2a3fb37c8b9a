// The calls of a child to its hub, typed: each signs what it asks, and believes an answer only by the hub's signature.

import Foundation
import Synchronization

/// One hub as one site sees it. Calls may run at the same time; none of them keeps state that another needs.
package final class HubClient: Sendable {
    /// Why the hub said no, for programs: the `Failure` beside it is for people.
    package struct Refusal: Hashable, Sendable {
        package var code: WireCode
        /// From `Retry-After`; nil when the hub named no time.
        package var retryAfterSeconds: Int?
        package init(code: WireCode, retryAfterSeconds: Int?) {
            self.code = code
            self.retryAfterSeconds = retryAfterSeconds
        }
    }
    /// A failure with its code still on it: calls that go on by themselves must not ask what another call met.
    private struct CallError: Error {
        let failure: Failure
        let refusal: Refusal?
    }
    private struct State {
        var traffic = Traffic()
        var requests = 0
        var refusal: Refusal?
    }

    private let transport: any Transport
    private let keys: SiteKeys
    private let hub: PublicKeys
    /// How sentences call the hub: its host and port.
    private let label: String
    private let state = Mutex(State())

    /// - Parameter hub: the keys from the invite, or those that enrolment stored.
    package init(_ transport: any Transport, keys: SiteKeys, hub: PublicKeys, label: String) {
        self.transport = transport
        self.keys = keys
        self.hub = hub
        self.label = label
    }

    /// The same line with other keys; its traffic is counted on.
    package func signing(with keys: SiteKeys) -> HubClient {
        let client = HubClient(transport, keys: keys, hub: hub, label: label)
        let known = state.withLock { $0 }
        client.state.withLock { $0 = known }
        return client
    }

    /// Bytes of all answered calls; what a broken transfer moved is known to the transport alone.
    package var traffic: Traffic { state.withLock { $0.traffic } }

    /// Requests sent, answered or not.
    package var requests: Int { state.withLock { $0.requests } }

    /// The hub's reason when the last call that ended did so by its refusal; nil when it succeeded or never got there.
    package var lastRefusal: Refusal? { state.withLock { $0.refusal } }
}

// MARK: calls

extension HubClient {
    /// Uses the invite. The keys that answer must be those that the invite names.
    package func enrol(_ request: EnrolRequest) async throws(Failure) -> EnrolReply {
        let reply = try await json(.post, WirePath.enrol, request, as: EnrolReply.self)
        guard reply.hubSite == hub.site.description, reply.hubSigningKey == hub.signingBase64,
            reply.hubAgreementKey == hub.agreementBase64
        else {
            throw Failure(
                .refusedByPeer, "The hub \(label) answers with other keys than the invite names.",
                next: "Ask the hub's operator for a new invite.")
        }
        return reply
    }

    /// Shows the hub its own statement that it has enrolled this client's site.
    package func enrolAgain(_ shown: SignedEnrolment) async throws(Failure) {
        _ = try await call(
            WireRequest(.post, WirePath.enrolledAgain, headers: ["Content-Type": "application/json"], body: WireJSON.encode(shown)))
    }

    package func hello(_ request: HelloRequest) async throws(Failure) -> HelloReply {
        try await json(.post, WirePath.hello, request, as: HelloReply.self)
    }

    package func survivors(_ request: SurvivorsRequest) async throws(Failure) -> SurvivorsReply {
        try await json(.post, WirePath.survivors, request, as: SurvivorsReply.self)
    }

    package func agree(_ request: AgreedRequest) async throws(Failure) -> AgreedReply {
        try await json(.post, WirePath.agreed, request, as: AgreedReply.self)
    }

    /// Hands one of the hub's own pages back.
    package func giveBack(_ scope: ScopeID, page: [UInt8], survived: Position) async throws(Failure) {
        _ = try await call(
            WireRequest(
                .post, WirePath.returned(scope, survived: survived), headers: ["Content-Type": "application/octet-stream"], body: page))
    }

    package func incarnate(_ request: IncarnationRequest) async throws(Failure) -> IncarnationReply {
        try await json(.post, WirePath.incarnation, request, as: IncarnationReply.self)
    }

    package func receipt(_ scope: ScopeID) async throws(Failure) -> Receipt {
        let target = WirePath.receipt(scope)
        return try document(Receipt.self, in: try await call(WireRequest(.get, target)), target)
    }

    /// The hub's log of a scope after a position, one page as the hub signed it.
    ///
    /// - Parameter bytesMax: what the page shall not exceed; one larger change still comes, alone.
    /// - Parameter isPlain: the hub's predictors are not ours: it shall predict nothing.
    /// - Returns: nil when nothing is newer.
    package func logPage(_ scope: ScopeID, after: Position, bytesMax: Int, isPlain: Bool = false) async throws(Failure) -> [UInt8]? {
        let target = "\(WirePath.log(scope))?after=\(after.rawValue)&max=\(bytesMax)\(isPlain ? "&plain=1" : "")"
        let reply = try await call(WireRequest(.get, target))
        return reply.status == 204 ? nil : reply.body
    }

    /// How much of a segment the hub holds; offset 0 when it has not heard of it.
    package func uploadStanding(
        _ scope: ScopeID, _ site: SiteID, _ first: Seq, _ last: Seq, of bytes: [UInt8]
    ) async throws(Failure) -> UploadReply {
        let target = WirePath.segment(scope, site, first, last, bytes)
        return try document(UploadReply.self, in: try await call(WireRequest(.get, target)), target)
    }
}

// MARK: upload

extension HubClient {
    /// A line that breaks more often within one segment than this is left to the caller's backoff.
    private static let triesMax = 16
    /// One try that moves nothing may be a kept connection that had died; the question after it made a new one.
    private static let stillTriesMax = 2

    /// Sends one segment, from `offset` on, and goes on after each break as long as the tries move the offset.
    ///
    /// - Parameters:
    ///   - bytes: the whole segment, whatever the offset.
    ///   - cut: what its authors had seen of a hub that was put back since; nil where the segment says it.
    /// - Returns: the hub's last word: `received`, or the offset to continue at.
    /// - Throws: `Failure(.noConnection)` when the line does not come back; what arrived stays at the hub.
    package func putSegment(
        _ scope: ScopeID, _ site: SiteID, _ first: Seq, _ last: Seq, bytes: [UInt8], from offset: Int = 0, cut: Position? = nil, epoch: Int = 1
    ) async throws(Failure) -> UploadReply {
        precondition(!bytes.isEmpty, "there is no empty segment")
        let target = WirePath.segment(scope, site, first, last, bytes)
        var standing = UploadReply(offset: min(max(offset, 0), bytes.count), received: false)
        var stillTries = 0
        for _ in 0..<Self.triesMax {
            let start = standing.offset
            var failure: Failure?
            var isWrongOffset = false
            do throws(CallError) {
                standing = try await put(target, bytes, from: start, cut: cut, epoch: epoch)
            } catch {
                // Three ways to lose the place: the line broke, the hub failed, the hub holds another offset.
                isWrongOffset = error.refusal?.code == .wrongOffset
                guard isWrongOffset || error.failure.kind == .noConnection else { throw error.failure }
                failure = error.failure
                standing = try await uploadStanding(scope, site, first, last, of: bytes)
            }
            guard 0...bytes.count ~= standing.offset else { throw impossibleOffset(standing.offset, of: bytes.count) }
            if standing.received || standing.offset == bytes.count { return standing }
            // A hub that lost its spool names a lower offset: that is progress too, once per try.
            let hasMoved = standing.offset > start || isWrongOffset && standing.offset < start
            stillTries = hasMoved ? 0 : stillTries + 1
            guard stillTries < Self.stillTriesMax else {
                if let failure { throw failure }
                return standing
            }
        }
        return standing
    }

    private func put(
        _ target: String, _ bytes: [UInt8], from offset: Int, cut: Position?, epoch: Int
    ) async throws(CallError) -> UploadReply {
        let target = "\(target)&offset=\(offset)&size=\(bytes.count)" + (cut.map { "&cut=\($0.rawValue)" } ?? "") + (epoch > 1 ? "&epoch=\(epoch)" : "")
        let request = WireRequest(
            .put, target, headers: ["Content-Type": "application/octet-stream"], body: bytes, uploadOffset: offset)
        let reply = try await exchange(request)
        do throws(Failure) {
            return try document(UploadReply.self, in: reply, target)
        } catch {
            throw CallError(failure: error, refusal: nil)
        }
    }

    private func impossibleOffset(_ offset: Int, of size: Int) -> Failure {
        Failure(
            .refusedByPeer, "The hub \(label) wants to continue a segment of \(size) bytes at offset \(offset).",
            next: "Report this to the hub's operator; the data stay here.")
    }
}

// MARK: one exchange

extension HubClient {
    /// Signs and sends a request and checks the answer: what comes back is the hub's own word, with a status of 2xx.
    package func call(_ request: WireRequest) async throws(Failure) -> WireReply {
        do throws(CallError) {
            return try await exchange(request)
        } catch {
            throw error.failure
        }
    }

    private func exchange(_ request: WireRequest) async throws(CallError) -> WireReply {
        let result = await answer(to: request)
        state.withLock {
            if case .failure(let error) = result { $0.refusal = error.refusal } else { $0.refusal = nil }
        }
        return try result.get()
    }

    private func answer(to request: WireRequest) async -> Result<WireReply, CallError> {
        state.withLock { $0.requests += 1 }
        do throws(Failure) {
            let reply = try await transport.send(signed(request))
            state.withLock { $0.traffic += reply.traffic }
            try checkOrigin(of: reply, target: request.target)
            return 200..<300 ~= reply.status ? .success(reply) : .failure(refusal(reply))
        } catch {
            return .failure(CallError(failure: error, refusal: nil))
        }
    }

    private func signed(_ request: WireRequest) -> WireRequest {
        var request = request
        let signature = RequestSignature(
            method: request.method.rawValue, target: request.target, body: request.body, keys: keys)
        request.headers[RequestSignature.headerName] = signature.header
        // Proxies on the way must not answer from memory.
        request.headers["Cache-Control"] = "no-store"
        return request
    }

    private func json<Reply: Decodable>(
        _ method: WireRequest.Method, _ target: String, _ body: some Encodable, as type: Reply.Type
    ) async throws(Failure) -> Reply {
        let request = WireRequest(
            method, target, headers: ["Content-Type": "application/json"], body: WireJSON.encode(body))
        return try document(type, in: try await call(request), target)
    }

    private func document<T: Decodable>(_ type: T.Type, in reply: WireReply, _ target: String) throws(Failure) -> T {
        guard let value = WireJSON.decode(type, from: reply.body) else {
            throw Failure(
                .refusedByPeer, "The hub \(label) answered \(target) with something this program does not understand.",
                next: "Compare the versions of zzsync here and at the hub; the older one needs an update.")
        }
        return value
    }

    /// A login page of the network answers 200 with HTML, a gateway 502 with HTML: neither can sign.
    private func checkOrigin(of reply: WireReply, target: String) throws(Failure) {
        guard let signature = reply.headers[ReplySignature.headerName.lowercased()] else {
            let type = reply.headers["content-type"].map { ", \($0)" } ?? ""
            throw Failure(
                .noConnection,
                "The answer is not from a zzsync hub: \(label) sent HTTP \(reply.status)\(type), unsigned.",
                next: Self.adviceForForeign(status: reply.status))
        }
        guard
            ReplySignature.isValid(
                header: signature, status: reply.status, target: target, body: reply.body, signingKey: hub.signing)
        else {
            throw Failure(
                .refusedByPeer, "The answer of \(label) is not signed by hub \(hub.site).",
                next: "Check the hub's address; if the hub was set up anew, ask its operator for a new invite.")
        }
    }

    private static func adviceForForeign(status: Int) -> String {
        switch status {
        case 407: "The proxy wants a password: set it in http_proxy or https_proxy; nothing is lost."
        case 502, 503, 504: "A gateway answers in the hub's place: try later; nothing is lost."
        default: "A login page of the network or a proxy may answer in its place: check the network and the address."
        }
    }
}

// MARK: refusals

extension HubClient {
    /// `ErrorReply` as it may come from a newer hub: with a code that this program does not know.
    private struct AnyErrorReply: Decodable {
        var code: String
        var message: String
    }

    private func refusal(_ reply: WireReply) -> CallError {
        let body = WireJSON.decode(AnyErrorReply.self, from: reply.body)
        let code = body.flatMap { WireCode(rawValue: $0.code) } ?? Self.code(ofStatus: reply.status)
        let seconds = reply.headers["retry-after"].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
        let said = body?.message ?? "HTTP \(reply.status)"
        let message = said.hasSuffix(".") ? said : said + "."
        return CallError(
            failure: Self.failure(code, label: label, message: message, retryAfterSeconds: seconds),
            refusal: Refusal(code: code, retryAfterSeconds: seconds))
    }

    private static func code(ofStatus status: Int) -> WireCode {
        switch status {
        case 401: .unauthenticated
        case 403: .forbidden
        case 404: .notFound
        case 413: .tooLarge
        case 503: .busy
        case 500...: .internalError
        default: .malformed
        }
    }

    private static func failure(
        _ code: WireCode, label: String, message: String, retryAfterSeconds seconds: Int?
    ) -> Failure {
        let said = "The hub \(label) refused: \(message)"
        return switch code {
        case .busy:
            Failure(
                .busy, "The hub \(label) is busy" + (seconds.map { " for another \($0) seconds" } ?? "") + ".",
                next: "Nothing is lost; sync again then.")
        case .internalError:
            Failure(
                .noConnection, "The hub \(label) failed: \(message)",
                next: "Nothing is lost; sync again later, and tell the hub's operator if it stays.")
        case .outOfChain, .wrongOffset:
            Failure(.busy, said, next: "Nothing is lost; the next sync asks the hub where to continue.")
        case .unauthenticated:
            Failure(
                .refusedByPeer, said,
                next: "Ask the hub's operator whether this site was revoked; if so, join again with a new invite.")
        case .notEnrolled:
            Failure(.refusedByPeer, said, next: "Nothing is lost: sync again, and ask the hub's operator if it stays.")
        case .invite:
            Failure(.refusedByPeer, said, next: "Ask the hub's operator for a new invite.")
        case .malformed, .forbidden, .notFound, .badSegment, .tooLarge:
            Failure(.refusedByPeer, said, next: "Tell the hub's operator; the data stay here.")
        }
    }
}
