package org.tensorflow.lite;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.FloatBuffer;
import java.util.Map;

/** LiteRT's Interpreter: its calls, carried out by the real LiteRT in a Python process, `interpreter.py`. */
public class Interpreter implements AutoCloseable {
    private final Process process;
    private final PrintWriter asked;
    private final BufferedReader told;

    public static class Options {
        int threads = 1;

        public Options setNumThreads(int threads) {
            this.threads = threads;
            return this;
        }
    }

    public Interpreter(File file, Options options) {
        try {
            String[] command = System.getProperty("edgebert.litert").split("\t");
            process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        } catch (IOException error) {
            throw new UnsatisfiedLinkError(error.getMessage());
        }
        asked = new PrintWriter(process.getOutputStream(), true);
        told = new BufferedReader(new InputStreamReader(process.getInputStream()));
        ask("open\t" + file.getPath() + "\t" + options.threads);
    }

    private String[] ask(String line) {
        asked.println(line);
        try {
            String answer = told.readLine();
            if (answer == null || answer.startsWith("error\t")) {
                throw new IllegalArgumentException(String.valueOf(answer));
            }
            return answer.isEmpty() ? new String[0] : answer.split("\t");
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    public String[] getSignatureInputs(String key) {
        return ask("inputs\t" + key);
    }

    public Tensor getInputTensorFromSignature(String name, String key) {
        return tensor(ask("input\t" + key + "\t" + name));
    }

    public Tensor getOutputTensorFromSignature(String name, String key) {
        return tensor(ask("output\t" + key + "\t" + name));
    }

    private static Tensor tensor(String[] facts) {
        return new Tensor() {
            @Override
            public DataType dataType() {
                return DataType.valueOf(facts[0].toUpperCase());
            }

            @Override
            public int[] shape() {
                int[] shape = new int[facts.length - 1];
                for (int i = 0; i < shape.length; i++) {
                    shape[i] = Integer.parseInt(facts[i + 1]);
                }
                return shape;
            }
        };
    }

    public void runSignature(Map<String, Object> inputs, Map<String, Object> outputs, String key) {
        for (Map.Entry<String, Object> input : inputs.entrySet()) {
            StringBuilder line = new StringBuilder("set\t" + input.getKey());
            if (input.getValue() instanceof int[][]) {
                for (int number : ((int[][]) input.getValue())[0]) {
                    line.append('\t').append(number);
                }
            } else {
                for (long number : ((long[][]) input.getValue())[0]) {
                    line.append('\t').append(number);
                }
            }
            ask(line.toString());
        }
        ask("run\t" + key);
        for (Map.Entry<String, Object> output : outputs.entrySet()) {
            FloatBuffer buffer = (FloatBuffer) output.getValue();
            for (String number : ask("get\t" + output.getKey())) {
                buffer.put(Float.parseFloat(number));
            }
        }
    }

    @Override
    public void close() {
        asked.close();
    }
}
