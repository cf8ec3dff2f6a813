/* What a C compiler makes of the plainest training loop, one row at a time, when it knows every size
   beforehand. contenders.py compiles it with -O3 -march=native -ffast-math;
   FORWARD lists the layers, as in -DFORWARD="LAYER(2, 20) LAYER(20, 2)", and BACKWARD lists them
   from the last to the first. */

#include <stdint.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))
#define N_PARAMS(in, out) ((in) * (out) + (out))

/* For each weight p[k], from unit i to unit j. It lies in memory as W or, where the rows of W are
   too short for a vector, as W.T. */
#define EACH_WEIGHT(in, out, statement)           \
    if ((in) <= (out) || (out) >= 16) {           \
        for (int i = 0; i < (in); i++)            \
            for (int j = 0; j < (out); j++) {     \
                const int k = i * (out) + j;      \
                statement;                        \
            }                                     \
    } else                                        \
        for (int j = 0; j < (out); j++)           \
            for (int i = 0; i < (in); i++) {      \
                const int k = j * (in) + i;       \
                statement;                        \
            }

enum {
#define LAYER(in, out) N_PARAMS(in, out) +
    PARAMS = FORWARD 0,
#undef LAYER
#define LAYER(in, out) (in) +
    OUTPUTS = FORWARD CLASSES
#undef LAYER
};

/* Set z = max(0, x W + b), or x W + b in the last layer; p holds W and b. */
INLINE void forward(int in, int out, const double *restrict p, const double *restrict x,
                    double *restrict z, int is_last)
{
    for (int j = 0; j < out; j++)
        z[j] = p[in * out + j];
    EACH_WEIGHT(in, out, z[j] += x[i] * p[k])
    if (!is_last)
        for (int j = 0; j < out; j++)
            z[j] = z[j] > 0 ? z[j] : 0;
}

/* Set dx, the gradient in front of the ReLU which made x. */
INLINE void backward(int in, int out, const double *restrict p, const double *restrict x,
                     const double *restrict dz, double *restrict dx)
{
    for (int i = 0; i < in; i++)
        dx[i] = 0;
    EACH_WEIGHT(in, out, dx[i] += dz[j] * p[k])
    for (int i = 0; i < in; i++)
        dx[i] = x[i] > 0 ? dx[i] : 0;
}

/* Add to g the gradient of the layer's W and b. */
INLINE void accumulate(int in, int out, double *restrict g, const double *restrict x,
                       const double *restrict dz)
{
    for (int j = 0; j < out; j++)
        g[in * out + j] += dz[j];
    EACH_WEIGHT(in, out, g[k] += x[i] * dz[j])
}

INLINE void soft_max(double *z)
{
    double largest = z[0], sum = 0;

    for (int k = 1; k < CLASSES; k++)
        largest = z[k] > largest ? z[k] : largest;
    for (int k = 0; k < CLASSES; k++)
        sum += z[k] = exp(z[k] - largest);
    for (int k = 0; k < CLASSES; k++)
        z[k] /= sum;
}

/* Add to grad the gradient of a row, times scale; grad may be params themselves. */
INLINE void add_gradient(const double *params, double *grad, const double *x,
                         const double *targets, double scale)
{
    double outputs[OUTPUTS], gradients[OUTPUTS];
    double *z = outputs, *dz = gradients + OUTPUTS - CLASSES;
    const double *p = params;

#define LAYER(in, out)                                                                           \
    forward(in, out, p, z == outputs ? x : z, z + in, p + N_PARAMS(in, out) == params + PARAMS); \
    p += N_PARAMS(in, out);                                                                      \
    z += in;
    FORWARD
#undef LAYER
    soft_max(z);
    for (int k = 0; k < CLASSES; k++)
        dz[k] = scale * (z[k] - targets[k]);
#define LAYER(in, out)                                                  \
    p -= N_PARAMS(in, out);                                             \
    z -= in;                                                            \
    if (p != params)                                                    \
        backward(in, out, p, z, dz, dz - in);                           \
    accumulate(in, out, grad + (p - params), p == params ? x : z, dz);  \
    dz -= in;
    BACKWARD
#undef LAYER
}

void run_epoch(double *params, const double *x, const double *targets, const int64_t *order,
               int64_t n_rows, int64_t batch_size, double learning_rate)
{
    if (batch_size == 1) {
        for (int64_t r = 0; r < n_rows; r++)
            add_gradient(params, params, x + INPUTS * order[r], targets + CLASSES * order[r],
                         -learning_rate);
        return;
    }
    for (int64_t start = 0; start < n_rows; start += batch_size) {
        int64_t end = start + batch_size < n_rows ? start + batch_size : n_rows;
        double grad[PARAMS] = {0};
        for (int64_t r = start; r < end; r++)
            add_gradient(params, grad, x + INPUTS * order[r], targets + CLASSES * order[r],
                         1.0 / (double)(end - start));
        for (int k = 0; k < PARAMS; k++)
            params[k] -= learning_rate * grad[k];
    }
}
