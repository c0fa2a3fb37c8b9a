// Cases that go back to their school with a question, and what somebody there answers.

import Foundation
import Hub
import Node
import Shared

extension Country {
    private func name(_ item: CaseView, _ site: Site) -> String { "\(site.name) \(item.number)" }

    // MARK: the operator

    /// A school's answer is taken more often than not; some cases nobody can decide without the school. Nil for all others.
    func choiceOfQuestion(_ item: CaseView, at site: Site) -> Choice? {
        guard plan.hasDeskWork else { return nil }
        if let answer = item.candidates.last(where: \.answers) {
            inspect(answer, of: item, at: site)
            if dice.chance(0.8) { return .candidate(answer.candidate) }
        }
        return !isResting && !item.isReturned && dice.chance(item.kind == "twins" ? 0.05 : 0.4) ? .handBack : nil
    }

    /// The school has been asked, and has not answered yet.
    func isWaited(for item: CaseView) -> Bool {
        item.isReturned && !isResting && !item.candidates.contains(where: \.answers) && dice.chance(0.9)
    }

    /// A decision about it stands.
    func count(_ item: CaseView, _ choice: Choice, at site: Site) {
        if choice == .handBack {
            tallies.count(.returned)
            questions[name(item, site)] = scheduler.turns
        } else if case .candidate(let number) = choice, item.candidates[number - 1].answers {
            tallies.count(.answerTaken)
        }
    }

    /// Whoever answers has read the question: a node that is a hub's own child seals what was written before it pulls anything. What a hub
    /// below had held may be older; it is sealed by somebody who has read it all the same.
    private func inspect(_ answer: CandidateView, of item: CaseView, at site: Site) {
        guard let asked = questions[name(item, site)], !site.isPutBack, let node = nodes.first(where: { answer.author.hasPrefix("\($0.name)#") }),
            node.parent === site, !node.isCopied
        else { return }
        let entries = cells(of: item).compactMap { cell, words in oracle.cells[cell]?[words[answer.candidate - 1]] }
        guard !entries.isEmpty else { return }
        expect(
            entries.contains { $0.made.turn > asked },
            "\(site.name): what \(answer.author) wrote is called an answer, and is older than the question: \(describe(item))")
    }

    // MARK: the school

    /// Somebody at a school reads what a hub asks, and writes what he knows.
    ///
    /// - Returns: whether there was a question.
    func answer(at site: Site) throws -> Bool {
        let node = site.node!
        let asked = try node.decisions(form: nil).filter { $0.kind == "return" && !$0.isUndone && !answered.contains($0.id) }
        guard let question = dice.pick(asked), let form = site.catalogue[question.form], let row = Int64(question.row).map({ RowID($0) }),
            let field = entries.writable(form).first(where: {
                question.fields.isEmpty ? !form.key.contains($0) : question.fields.contains(form.fields[$0].id)
            }),
            let before = try node.values(form, row)
        else { return false }
        let clerk = nextAction(site)
        try node.change(form, row, [field: entries.fresh(form.fields[field], clerk.number)!], author: clerk.author)
        record(site, form, row, before: before, after: try node.values(form, row), by: clerk)
        answered.insert(question.id)
        tallies.count(.answered)
        note("\(clerk.author) answers a question about \(form.fields[field].id) of \(form.table) \(row)")
        return true
    }
}
