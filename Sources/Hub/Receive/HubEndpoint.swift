// The hub's calls as functions from a request to a signed answer, without any HTTP library: the server carries bytes to and
// from here, and so does a line inside one process (rehearsals, simulation). What is authenticated, by whom, and what is
// refused with which code is decided here alone.

import Foundation
import Shared

package struct HubEndpoint: Sendable {
    package let service: HubService
    package init(_ service: HubService) { self.service = service }

    /// Largest body of a call that is not an upload, in bytes: a hello of a hub with thousands of schools, or a page that comes back.
    package static func bytesMax(of target: String) -> Int {
        target.hasPrefix("/v1/returned/") ? SegmentHeader.byteCount + Limits.pageBodyBytesMax : 4 << 20
    }

    /// An upload that may go on: whose it is, where its bytes grow and where it continues.
    package struct Upload: Sendable {
        package let target: String
        package let scope: ScopeID
        package let site: KnownSite
        package let first: Seq
        package let last: Seq
        package let part: String
        package let offset: Int
        /// Bytes of the whole segment.
        package let size: Int
        /// What its authors had seen of this hub, where that is less than the segment says.
        package let cut: Position?
        /// In which the child and this hub agreed last on what both have.
        package let epoch: Int
    }

    /// Answers any call whose body is at hand; an upload's body starts at its offset.
    package func answer(_ request: WireRequest) async -> WireReply {
        do {
            let path = try Path(request.target)
            if request.method == .put {
                switch try await begin(request) {
                case .held(let reply): return reply
                case .open(let upload):
                    let file = try SpoolFile(upload.part)
                    let bytes = Array(request.body[request.uploadOffset...])
                    guard upload.offset + bytes.count <= upload.size else { throw Self.tooMuch }
                    try file.write(bytes, at: upload.offset)
                    KillPoint.reach("push.part", in: upload.part)
                    try file.sync()
                    return await finish(upload, end: upload.offset + bytes.count)
                }
            }
            return signed(200, try await dispatch(request, path), target: request.target)
        } catch {
            return refusal(error, target: request.target)
        }
    }

    static let tooMuch = WireError(.tooLarge, "the upload has more bytes than its size says")

    // MARK: calls

    private func dispatch(_ request: WireRequest, _ path: Path) async throws -> [UInt8]? {
        if request.method == .post, request.target == WirePath.enrol { return try await enrol(request) }
        if request.method == .post, request.target == WirePath.enrolledAgain {
            try await enrolAgain(request)
            return nil
        }
        let site = try await authenticate(request)
        switch (request.method, path.parts.first) {
        case (.post, "hello"):
            guard let hello = WireJSON.decode(HelloRequest.self, from: request.body) else {
                throw WireError(.malformed, "this is no hello")
            }
            return WireJSON.encode(try await service.hello(hello, from: site))
        case (.post, "incarnation"):
            guard let incarnation = WireJSON.decode(IncarnationRequest.self, from: request.body) else {
                throw WireError(.malformed, "this is no incarnation")
            }
            return WireJSON.encode(try await service.incarnate(incarnation, from: site))
        case (.post, "survivors"):
            guard let survivors = WireJSON.decode(SurvivorsRequest.self, from: request.body) else {
                throw WireError(.malformed, "this asks for no pages")
            }
            return WireJSON.encode(try await service.survivors(survivors, from: site))
        case (.post, "returned"):
            try await service.takeBack(
                request.body, try await scope(path, site), survived: Position(max(0, path.integer("survived") ?? 0)), from: site.site)
            return nil
        case (.post, "agreed"):
            guard let agreed = WireJSON.decode(AgreedRequest.self, from: request.body) else {
                throw WireError(.malformed, "this agrees on nothing")
            }
            return WireJSON.encode(try await service.agree(agreed, from: site))
        case (.get, "log"):
            return try await service.logPage(
                try await scope(path, site), after: Position(max(0, path.integer("after") ?? 0)),
                bytesMax: Int(path.integer("max") ?? 1 << 20), isPlain: path.integer("plain") == 1)
        case (.get, "receipt"):
            return WireJSON.encode(try await service.receipt(try await scope(path, site), site: site))
        case (.get, "segments"):
            let (scope, first, last, mark) = try await segment(path, site)
            return WireJSON.encode(try standing(scope, site, first, last, mark))
        default:
            throw WireError(.notFound, "there is no \(request.method.rawValue) \(request.target) here")
        }
    }

    private func enrol(_ request: WireRequest) async throws -> [UInt8] {
        guard let enrolment = WireJSON.decode(EnrolRequest.self, from: request.body),
            let signature = signature(request), let key = Data(base64Encoded: enrolment.signingKey),
            signature.isValid(method: "POST", target: request.target, body: request.body, signingKey: Array(key)),
            signature.site == PublicKeys.site(ofSigningKey: Array(key))
        else { throw WireError(.malformed, "the enrolment is not signed with its own key") }
        return WireJSON.encode(try await service.enrol(enrolment))
    }

    private func enrolAgain(_ request: WireRequest) async throws {
        guard let enrolment = WireJSON.decode(SignedEnrolment.self, from: request.body)?.proved(by: service.home.keys.publicKeys),
            let keys = enrolment.keys
        else { throw WireError(.malformed, "this is no statement of enrolment that this hub has signed") }
        guard let signature = signature(request), signature.site == keys.site,
            signature.isValid(method: "POST", target: request.target, body: request.body, signingKey: keys.signing)
        else { throw WireError(.unauthenticated, "the statement of enrolment of site \(keys.site) is not shown by that site") }
        try await service.enrolAgain(enrolment, keys)
    }

    // MARK: uploads

    package enum Beginning: Sendable {
        /// The hub has the segment already.
        case held(WireReply)
        case open(Upload)
    }

    /// Whether an upload may go on, and where. Asks nothing of the body, which the segment's own signature covers.
    ///
    /// - Throws: `WireError`, to be answered with `refusal`.
    package func begin(_ request: WireRequest) async throws -> Beginning {
        let path = try Path(request.target)
        let site = try await authenticate(request)
        guard path.parts.first == "segments" else { throw WireError(.notFound, "nothing can be put at \(request.target)") }
        let (scope, first, last, mark) = try await segment(path, site)
        let inbox = service.home.inbox
        let head = try inbox.head(scope, site.site).last
        let size = Int(path.integer("size") ?? 0)
        if head >= last {
            guard try inbox.size(scope, site.site, first, last, mark) != nil else { throw Inbox.isAnother(first, last) }
            return .held(signed(200, WireJSON.encode(UploadReply(offset: size, received: true)), target: request.target))
        }
        guard first == head.advanced(by: 1) else {
            throw WireError(.outOfChain, "the hub holds seqs up to \(head), not \(first.advanced(by: -1))")
        }
        guard size > 0, size <= Inbox.uploadBytesMax else {
            throw WireError(.tooLarge, "a segment has 1 to \(Inbox.uploadBytesMax) bytes, not \(size)")
        }
        let part = inbox.partPath(scope, site.site, first, last, mark)
        let present = inbox.partSize(part)
        let offset = Int(path.integer("offset") ?? 0)
        guard offset == present else {
            throw WireError(.wrongOffset, "the upload continues at \(present), not \(offset)")
        }
        return .open(
            Upload(
                target: request.target, scope: scope, site: site, first: first, last: last, part: part, offset: offset,
                size: size, cut: path.integer("cut").map { Position(max(0, $0)) }, epoch: Int(path.integer("epoch") ?? 1)))
    }

    /// Bytes up to `end` lie in the spool, fsynced: a whole segment is checked and stored.
    package func finish(_ upload: Upload, end: Int) async -> WireReply {
        do {
            if end == upload.size {
                try await service.complete(
                    upload.part, scope: upload.scope, site: upload.site, first: upload.first, last: upload.last, cut: upload.cut, epoch: upload.epoch)
            }
            return signed(
                200, WireJSON.encode(UploadReply(offset: end, received: end == upload.size)), target: upload.target)
        } catch {
            return refusal(error, target: upload.target)
        }
    }

    private func standing(_ scope: ScopeID, _ site: KnownSite, _ first: Seq, _ last: Seq, _ mark: String) throws -> UploadReply {
        let inbox = service.home.inbox
        if let size = try inbox.size(scope, site.site, first, last, mark) { return UploadReply(offset: size, received: true) }
        return UploadReply(offset: inbox.partSize(inbox.partPath(scope, site.site, first, last, mark)), received: false)
    }

    // MARK: who asks for what

    private func signature(_ request: WireRequest) -> RequestSignature? {
        request.headers[RequestSignature.headerName].flatMap { RequestSignature(header: $0) }
    }

    private func authenticate(_ request: WireRequest) async throws -> KnownSite {
        guard let signature = signature(request) else {
            throw WireError(.unauthenticated, "the request is not signed by a site")
        }
        guard let site = try await service.site(signature.site) else {
            throw WireError(.notEnrolled, "site \(signature.site) is not enrolled at this hub")
        }
        guard !site.isRevoked else { throw WireError(.unauthenticated, "site \(signature.site) was revoked") }
        guard
            signature.isValid(
                method: request.method.rawValue, target: request.target, body: request.body, signingKey: site.signingKey)
        else { throw WireError(.unauthenticated, "the signature of site \(signature.site) does not fit the request") }
        return site
    }

    private func scope(_ path: Path, _ site: KnownSite) async throws -> ScopeID {
        guard path.parts.count > 1, let scope = ScopeID(path.parts[1]) else {
            throw WireError(.malformed, "the path names no scope")
        }
        try await service.checkAccess(scope, site)
        return scope
    }

    private func segment(_ path: Path, _ site: KnownSite) async throws -> (ScopeID, Seq, Seq, mark: String) {
        let scope = try await scope(path, site)
        let range = (path.parts.last ?? "").split(separator: "-").compactMap { Int64($0) }
        guard path.parts.count == 4, path.parts[2] == site.site.description, range.count == 2, range[0] >= 1,
            range[1] >= range[0], let mark = path.word("mark"), mark.count == 16, mark.allSatisfy(\.isHexDigit)
        else { throw WireError(.malformed, "the path names no segment of this site") }
        return (scope, Seq(range[0]), Seq(range[1]), mark)
    }

    /// `/v1/a/b?c=d` in parts.
    private struct Path {
        let parts: [String]
        private let query: [String: String]

        init(_ target: String) throws {
            let halves = target.split(separator: "?", maxSplits: 1)
            let all = (halves.first ?? "").split(separator: "/").map(String.init)
            guard all.first == "v1", all.count > 1 else { throw WireError(.notFound, "there is nothing at \(target)") }
            parts = Array(all.dropFirst())
            var query: [String: String] = [:]
            for pair in (halves.count > 1 ? halves[1] : "").split(separator: "&") {
                let sides = pair.split(separator: "=", maxSplits: 1)
                if sides.count == 2 { query[String(sides[0])] = String(sides[1]) }
            }
            self.query = query
        }
        func integer(_ name: String) -> Int64? { query[name].flatMap { Int64($0) } }
        func word(_ name: String) -> String? { query[name] }
    }

    // MARK: answers

    private func signed(_ status: Int, _ body: [UInt8]?, target: String, extra: [String: String] = [:]) -> WireReply {
        let bytes = body ?? []
        let status = body == nil ? 204 : status
        var headers = extra
        headers[ReplySignature.headerName.lowercased()] = ReplySignature.header(
            status: status, target: target, body: bytes, keys: service.home.keys)
        if body != nil { headers["content-type"] = bytes.first == UInt8(ascii: "{") ? "application/json" : "application/octet-stream" }
        return WireReply(status: status, headers: headers, body: bytes)
    }

    /// What the other side is told of an error; signed like every answer.
    package func refusal(_ error: any Error, target: String) -> WireReply {
        let wire: WireError
        var extra: [String: String] = [:]
        switch error {
        case let error as WireError:
            wire = error
        case let failure as Failure where failure.kind == .busy:
            wire = WireError(.busy, failure.what)
            extra["retry-after"] = "5"
        default:
            wire = WireError(.internalError, storeFailure(error, path: "the hub's store").what)
        }
        return signed(
            wire.code.httpStatus, WireJSON.encode(ErrorReply(code: wire.code, message: wire.message)), target: target, extra: extra)
    }
}
