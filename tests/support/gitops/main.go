// Judges objects as Flux and Argo CD do. The first line of standard input says by what, each further one is an object;
// for each a line of verdicts is printed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const longestLine = 16 << 20

type order struct {
	Scripts     customizations    `json:"scripts"`
	Expressions map[string]string `json:"expressions"`
}

type verdicts struct {
	Kstatus  string            `json:"kstatus"`
	Argo     string            `json:"argo"`
	ArgoSays string            `json:"argoSays"`
	Flux     string            `json:"flux"`
	Actions  map[string]action `json:"actions"`
}

func main() {
	if err := judgeAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judgeAll() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	lines.Scan()
	var by order
	if err := json.Unmarshal(lines.Bytes(), &by); err != nil {
		return fmt.Errorf("first line: %w", err)
	}
	flux, err := newFlux(by.Expressions)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return err
		}
		found, err := judge(object, by.Scripts, flux)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if err := out.Encode(found); err != nil {
			return err
		}
	}
	return lines.Err()
}

func judge(object *unstructured.Unstructured, scripts customizations, flux *fluxJudge) (verdicts, error) {
	computed, err := status.Compute(object)
	if err != nil {
		return verdicts{}, err
	}
	found := verdicts{Kstatus: computed.Status.String()}
	if found.Argo, found.ArgoSays, err = scripts.health(object); err != nil {
		return verdicts{}, err
	}
	found.Flux = flux.judge(object)
	found.Actions, err = scripts.actionsOf(object)
	return found, err
}
