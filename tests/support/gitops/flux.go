package main

import (
	"context"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fluxJudge is the part of Flux's kustomize-controller that reads healthCheckExprs.
type fluxJudge struct {
	evaluator *cel.StatusEvaluator
}

func newFlux(expressions map[string]string) (*fluxJudge, error) {
	evaluator, err := cel.NewStatusEvaluator(&kustomize.HealthCheckExpressions{
		InProgress: expressions["inProgress"],
		Failed:     expressions["failed"],
		Current:    expressions["current"],
	})
	return &fluxJudge{evaluator}, err
}

// judge returns Unknown for an expression that does not find what it looks at: Flux waits then, until its timeout.
func (flux *fluxJudge) judge(object *unstructured.Unstructured) string {
	found, err := flux.evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return status.UnknownStatus.String()
	}
	return found.Status.String()
}
