// A line inside one process: the child's client on one end, the hub's endpoint on the other, no socket between them.

import Hub
import Shared

struct DirectTransport: Transport {
    let endpoint: HubEndpoint

    func send(_ request: WireRequest) async throws(Failure) -> WireReply {
        var reply = await endpoint.answer(request)
        reply.traffic = Traffic(
            bytesSent: request.body.count - request.uploadOffset + request.target.utf8.count,
            bytesReceived: reply.body.count)
        return reply
    }
}
