// Whether the parent reads what is predicted by our catalogue's expressions. It says so in its answer to hello, where the two
// catalogues differ; equal ones cost no byte.

import GRDB

package enum ParentPredictors {
    private static let key = "parent_predicts_otherwise"

    static func areOurs(_ db: Database) throws -> Bool { try Meta.integer(db, key) != 1 }

    static func areOurs(_ reply: HelloReply, _ catalogue: Catalogue) -> Bool {
        reply.catalogue == nil || reply.catalogue == catalogue.hash.base64 || reply.decoding == catalogue.predictors.digest.base64
    }

    package static func note(_ db: Database, areOurs: Bool) throws { try Meta.set(db, key, areOurs ? 0 : 1) }
}
